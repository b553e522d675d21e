#!/usr/bin/env python3
"""Writes clip/ beside this file: a random CLIP in a folder like sentence-transformers/clip-ViT-B-32, and its vectors of texts.

  pip install sentence-transformers && python3 make_clip.py

Numbers are computed in float64. expected.json has texts and their vectors.
"""
import json
import pathlib
import shutil

import sentence_transformers
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizerFast

FOLDER = pathlib.Path(__file__).parent / "clip"
MODEL = FOLDER / "0_CLIPModel"
TEXTS = ["a cat", "A dog and a cat", "dogs", "a cat and a dog and a cat and a dog and a cat"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
MERGES = [("a", "t</w>"), ("c", "at</w>"), ("o", "g</w>"), ("d", "og</w>")]

torch.manual_seed(0)
shutil.rmtree(FOLDER, ignore_errors=True)
MODEL.mkdir(parents=True)
words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), *("".join(pair) for pair in MERGES), "<|startoftext|>", "<|endoftext|>"]
end = len(words) - 1
(MODEL / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
(MODEL / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, MERGES)]) + "\n")
CLIPTokenizerFast.from_pretrained(MODEL, model_max_length=12).save_pretrained(MODEL)
for name in ("vocab.json", "merges.txt"):
    (MODEL / name).unlink()
tower = dict(hidden_size=8, intermediate_size=6, num_attention_heads=2)
text = dict(tower, num_hidden_layers=2, vocab_size=len(words), max_position_embeddings=12, bos_token_id=end - 1, eos_token_id=end, pad_token_id=end)
model = CLIPModel(CLIPConfig(text_config=text, vision_config=dict(tower, num_hidden_layers=1, image_size=8, patch_size=4), projection_dim=5))
for parameter in model.parameters():
    parameter.data += 0.2 * torch.randn_like(parameter)
model.save_pretrained(MODEL)
(MODEL / "preprocessor_config.json").write_text(json.dumps(dict(feature_extractor_type="CLIPFeatureExtractor", size=8, crop_size=8, do_center_crop=True)))
modules = [dict(idx=0, name="0", path="0_CLIPModel", type="sentence_transformers.models.CLIPModel")]
(FOLDER / "modules.json").write_text(json.dumps(modules))
(FOLDER / "config_sentence_transformers.json").write_text(json.dumps(dict(__version__=dict(sentence_transformers="2.0.0"))))
vectors = sentence_transformers.SentenceTransformer(str(FOLDER), device="cpu").double().encode(TEXTS)
(FOLDER / "expected.json").write_text(json.dumps(dict(texts=TEXTS, encode=vectors.tolist())))
