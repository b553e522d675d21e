#!/usr/bin/env python3
"""Writes donut/ beside this file: a small random reader of documents, Donut's encoder with GPT-2's decoder.

  pip install torch transformers==4.57.6 && python3 make_donut.py
"""
import pathlib

import torch
from transformers import DonutSwinConfig, GPT2Config, VisionEncoderDecoderConfig, VisionEncoderDecoderModel

torch.manual_seed(48)
encoder = DonutSwinConfig(image_size=[24, 24], patch_size=4, embed_dim=4, depths=[1, 1], num_heads=[2, 2], window_size=3, mlp_ratio=1.5, initializer_range=0.4)
decoder = GPT2Config(vocab_size=19, n_positions=32, n_embd=8, n_layer=1, n_head=2, initializer_range=0.4, is_decoder=True, add_cross_attention=True, bos_token_id=1, eos_token_id=2)
config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
model = VisionEncoderDecoderModel(config).eval()
with torch.no_grad():
    for name, weight in model.named_parameters():
        if weight.dim() < 2 or "relative_position" in name:
            weight.add_(0.3 * torch.randn_like(weight))
folder = pathlib.Path(__file__).parent / "donut"
model.save_pretrained(folder)
(folder / "generation_config.json").unlink(missing_ok=True)
