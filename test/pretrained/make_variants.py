#!/usr/bin/env python3
"""Writes variants.json beside this file: tiny models with rare settings, and what transformers computes for them in float64.

  pip install torch transformers peft && python3 make_variants.py

Weights come from the formula of `weights`, which variant.ts has, too, and so do large inputs, of which there is only the shape. Variances
are greater by 1. Models whose result is an image or a waveform have the sum of its squares as their loss. Gradients are kept as their products with
the weights' formula, one number for each tensor of the file.
"""
import copy
import json
import math
import pathlib
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
base = dict(
    vocab_size=11, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=6, max_position_embeddings=32, bos_token_id=1, eos_token_id=2,
    pad_token_id=0,
)
LEFT = [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]
padded_answer = dict(input_ids=[[0, 0, 3, 4, 5], [3, 4, 5, 6, 7]], attention_mask=LEFT, start_positions=[3, 1], end_positions=[4, 2])
longrope = dict(rope_type="longrope", rope_theta=100.0, short_factor=[1.0, 1.5], long_factor=[2.0, 5.0], original_max_position_embeddings=6)
mobile_vit = dict(hidden_sizes=[4, 4, 6], neck_hidden_sizes=[2, 2, 3, 2, 3, 2, 4], num_attention_heads=2, mlp_ratio=1.0, expand_ratio=1.5)
clip_seg = dict(
    text_config=dict(hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=6, vocab_size=11, max_position_embeddings=8, eos_token_id=10, bos_token_id=1, pad_token_id=0),
    vision_config=dict(hidden_size=12, num_attention_heads=2, num_hidden_layers=2, intermediate_size=6, image_size=8, patch_size=4, num_channels=1), projection_dim=5,
    extract_layers=[0, 1], reduce_dim=8, decoder_num_attention_heads=2, decoder_intermediate_size=6,
)
sound = dict(
    hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, conv_dim=[4, 6], conv_kernel=[5, 3], conv_stride=[3, 2], num_feat_extract_layers=2,
    num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=7, pad_token_id=0, num_labels=3, tdnn_dim=[6, 4], tdnn_kernel=[2, 3], tdnn_dilation=[1, 2],
    xvector_output_dim=5,
)
whisper = dict(
    d_model=8, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=6, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=6, num_mel_bins=4,
    max_source_positions=6, max_target_positions=8, vocab_size=11, num_labels=3, classifier_proj_size=5, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    decoder_start_token_id=1, begin_suppress_tokens=None,
)
conformer = dict(
    hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, feature_projection_input_dim=5, conv_depthwise_kernel_size=3,
    left_max_position_embeddings=3, right_max_position_embeddings=2, num_labels=3, tdnn_dim=[6, 4], tdnn_kernel=[2, 3], tdnn_dilation=[1, 2], xvector_output_dim=5,
)
squeezebert = dict(
    vocab_size=11, hidden_size=8, embedding_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, max_position_embeddings=8, pad_token_id=0,
    q_groups=2, k_groups=1, v_groups=4, intermediate_groups=4, output_groups=2,
)
long_t5 = dict(
    vocab_size=11, d_model=8, d_kv=3, num_heads=2, d_ff=6, num_layers=2, num_decoder_layers=2, local_radius=1, global_block_size=3, relative_attention_num_buckets=4,
    relative_attention_max_distance=5, feed_forward_proj="gated-gelu", tie_word_embeddings=False, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
)
glpn = dict(
    num_channels=1, num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[4, 6], patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[1, 1],
    drop_path_rate=0.0, decoder_hidden_size=4,
)
swin2sr = dict(embed_dim=8, depths=[2, 1], num_heads=[2, 4], window_size=2, image_size=8, mlp_ratio=1.5)
image = dict(pixel_values=dict(shape=[1, 3, 4, 6]))
rt_detr = dict(
    backbone_config=transformers.RTDetrResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 6, 6], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"]),
    encoder_hidden_dim=8, encoder_in_channels=[4, 6, 6], encoder_ffn_dim=6, encoder_attention_heads=2, d_model=8, num_queries=3, decoder_in_channels=[8, 8, 8], decoder_ffn_dim=6,
    decoder_attention_heads=2, decoder_layers=1, decoder_n_points=2, num_denoising=0, num_labels=2, hidden_expansion=0.5, eval_size=None, learn_initial_query=True,
)
# transformers calls this method for learned queries.
torch.nn.Embedding.tile = lambda embedding, counts: embedding.weight.tile(counts)
mpt = dict(d_model=12, n_heads=3, n_layers=1, max_seq_len=16, vocab_size=11)


class NormedMpt(transformers.MptForCausalLM):
    """MPT with two settings that transformers ignores, as in MosaicML's llm-foundry (layers/attention.py, gen_slopes)."""

    def __init__(self, config):
        super().__init__(config)
        norm = lambda: torch.nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon, bias=False)
        for block in self.transformer.blocks:
            block.attn.q_ln, block.attn.k_ln = norm(), norm()
            block.attn.Wqkv.register_forward_hook(lambda _, __, y, attn=block.attn: self.normed(attn, *y.chunk(3, dim=2)))
        build = self.transformer.build_mpt_alibi_tensor
        self.transformer.build_mpt_alibi_tensor = lambda heads, length, device: build(heads, length, config.attn_config.alibi_bias_max, device)

    @staticmethod
    def normed(attn, q, k, v):
        return torch.cat([attn.q_ln(q), attn.k_ln(k), v], dim=2)


NormedMpt.__name__ = "MptForCausalLM"
transformers.NormedMpt = NormedMpt


class MaskedAutoencoder(transformers.ViTMAEForPreTraining):
    """ViT-MAE as checkpoints have it, of which only the encoder is read, with patches in order."""

    def forward(self, pixel_values):
        return self.vit(pixel_values, noise=torch.arange(self.vit.embeddings.patch_embeddings.num_patches).expand(len(pixel_values), -1))


MaskedAutoencoder.__name__ = "ViTMAEForPreTraining"
transformers.MaskedAutoencoder = MaskedAutoencoder



class Vocoder(transformers.SpeechT5HifiGan):
    """HiFi-GAN, whose waveform has a name."""

    def forward(self, spectrogram):
        return dict(waveform=super().forward(spectrogram))


Vocoder.__name__ = "SpeechT5HifiGan"
transformers.Vocoder = Vocoder

captioned = dict(pixel_values=dict(shape=[2, 1, 4, 4]), labels=[[3, 4, 5], [6, 7, -100]])


def captions(writer):
    """A vision Transformer and a decoder of text whose positions count from the padding id + 1."""
    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6)
    decoder = dict(sizes, vocab_size=11, max_position_embeddings=12, type_vocab_size=1, is_decoder=True, add_cross_attention=True, bos_token_id=0, pad_token_id=1, eos_token_id=2)
    encoder = dict(sizes, image_size=4, patch_size=2, num_channels=1)
    return dict(encoder=dict(encoder, model_type="vit"), decoder=dict(decoder, model_type=writer), decoder_start_token_id=0, pad_token_id=1, tie_word_embeddings=True)


# name: (class, settings, inputs, results, tokens to write after each of some prompts)
CASES = {
    "GPT-2 with padding before a text": (
        "GPT2LMHeadModel", dict(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=16, n_inner=6), dict(input_ids=[[0, 0, 3, 4, 5], [3, 4, 5, 6, 7]], attention_mask=LEFT),
        ["logits"], None,
    ),
    "Llama with longrope across the original length": (
        "LlamaForCausalLM", dict(base, num_hidden_layers=1, rope_parameters=longrope), dict(input_ids=[[3, 4, 5, 6, 7, 8, 9, 10]]), ["logits"],
        [[3, 4, 5], [5, 4, 3, 6, 7, 8, 9]],
    ),
    "Mistral's answers": (
        "MistralForQuestionAnswering", dict(base, num_hidden_layers=1, num_key_value_heads=1), dict(input_ids=[[3, 4, 5, 6]], start_positions=[1], end_positions=[2]),
        ["loss", "start_logits"], None,
    ),
    "Hunyuan with padding before a text": ("HunYuanDenseV1ForCausalLM", dict(base, num_hidden_layers=1, head_dim=4), dict(input_ids=[[0, 0, 3, 4, 5], [3, 4, 5, 6, 7]], attention_mask=LEFT), ["logits"], None),
    "Ministral 3 with padding before a text": (
        "Ministral3ForCausalLM",
        dict(base, num_hidden_layers=1, num_key_value_heads=1, head_dim=4, rope_parameters=dict(rope_type="yarn", rope_theta=100.0, factor=4.0, original_max_position_embeddings=2, llama_4_scaling_beta=0.5)),
        dict(input_ids=[[0, 0, 3, 4, 5], [3, 4, 5, 6, 7]], attention_mask=LEFT), ["logits"], None,
    ),
    # A bias changes the choice of experts, but not which experts the loss counts.
    "ERNIE 4.5 with an auxiliary loss": (
        "Ernie4_5_MoeForCausalLM",
        dict(base, num_hidden_layers=1, num_key_value_heads=1, moe_num_experts=3, moe_k=1, moe_intermediate_size=4, moe_layer_start_index=0, moe_num_shared_experts=0, output_router_logits=True, router_aux_loss_coef=0.5),
        dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss"], None,
    ),
    # Prompts of models with recurrent states are read in another way than those of others.
    "Granite 4 H with dynamic rotation beyond the original length": (
        "GraniteMoeHybridForCausalLM",
        dict(
            base, num_key_value_heads=1, layer_types=["linear_attention", "full_attention"], max_position_embeddings=6, attention_multiplier=40.0, num_local_experts=0,
            shared_intermediate_size=4, mamba_n_heads=2, mamba_expand=1, mamba_d_state=3, mamba_d_conv=2, position_embedding_type="rope",
            rope_parameters=dict(rope_type="dynamic", rope_theta=100.0, factor=8.0),
        ),
        dict(input_ids=[[3, 4, 5, 6, 7, 8, 9, 10]]), ["logits"], [[3, 4, 5], [5, 4, 3, 6, 7, 8, 9, 10]],
    ),
    # Prompts on both sides of the original length, with common beginnings, and one that is read in pieces.
    "Llama with dynamic rotation across the original length": (
        "LlamaForCausalLM", dict(base, max_position_embeddings=6, rope_parameters=dict(rope_type="dynamic", rope_theta=100.0, factor=200.0)), dict(input_ids=[[3, 4, 5, 6, 7, 8, 9, 10]]), ["logits"],
        [[3, 4, 5], [3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8, 9, 10], [3, 4, 5, 6, 7, 8, 9, 10, 2, 3, 4], [3, 4, 5, 6, 7, 8, 9, 10, 4, 3, 2], [i * i % 7 + 2 for i in range(700)]],
    ),
    "DeiT with a teacher": (
        "DeiTForImageClassificationWithTeacher", dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, image_size=4, patch_size=2, num_channels=1, num_labels=3),
        dict(pixel_values=[[[[0.5, -1.0, 0.2, 0.1], [1.0, 0.3, -0.4, 0.7], [0.0, 2.0, -0.6, 0.8], [-0.9, 0.4, 1.5, -0.2]]]]), ["logits"], None,
    ),
    "MobileViT with dilated convolutions": (
        "MobileViTForSemanticSegmentation",
        dict(
            mobile_vit, num_channels=1, output_stride=16, aspp_out_channels=3, atrous_rates=[1, 2, 3], num_labels=2, qkv_bias=False,
        ),
        dict(pixel_values=dict(shape=[1, 1, 33, 50]), labels=dict(shape=[1, 33, 50], classes=2)), ["loss", "logits"], None,
    ),
    "MobileViT's classes": ("MobileViTForImageClassification", dict(mobile_vit, num_channels=1, num_labels=2), dict(pixel_values=dict(shape=[1, 1, 64, 47])), ["logits"], None),
    "CLIPSeg with one transposed convolution": ("CLIPSegForImageSegmentation", clip_seg, dict(input_ids=[[1, 3, 5, 10]], pixel_values=dict(shape=[1, 1, 9, 9]), labels=dict(shape=[1, 8, 8])), ["loss", "logits"], None),
    "CLIPSeg with two transposed convolutions": (
        "CLIPSegForImageSegmentation", dict(clip_seg, use_complex_transposed_convolution=True, conditional_layer=1),
        dict(input_ids=[[1, 3, 5, 10]], pixel_values=dict(shape=[1, 1, 12, 12])), ["logits"], None,
    ),
    "CLIPSeg with images of what to mark": (
        "CLIPSegForImageSegmentation", clip_seg, dict(conditional_pixel_values=dict(shape=[2, 1, 9, 13]), pixel_values=dict(shape=[2, 1, 8, 8]), labels=dict(shape=[2, 8, 8])), ["loss", "logits"], None,
    ),
    "CLIPSeg's vectors": ("CLIPSegModel", clip_seg, dict(input_ids=[[1, 3, 5, 10]], pixel_values=dict(shape=[1, 1, 8, 8])), ["logits_per_text", "text_embeds"], None),
    "WavLM's voices": ("WavLMForXVector", dict(sound, num_buckets=8, max_bucket_distance=10), dict(input_values=dict(shape=[2, 60]), labels=[1, 2]), ["loss", "logits", "embeddings"], None),
    # Fewer frames count for the second sound.
    "wav2vec 2.0's voices of two lengths": (
        "Wav2Vec2ForXVector", dict(sound, use_weighted_layer_sum=True, feat_extract_norm="layer"),
        dict(input_values=dict(shape=[2, 61]), attention_mask=dict(shape=[2, 61], counts=[61, 47]), labels=[0, 2]), ["loss", "logits"], None,
    ),
    "UniSpeech-SAT's frames": ("UniSpeechSatForAudioFrameClassification", sound, dict(input_values=dict(shape=[1, 42]), labels=dict(shape=[1, 6, 3])), ["loss", "logits"], None),
}
CASES.update({
    "MPT with clipped projections": (
        "MptForCausalLM", dict(mpt, attn_config=dict(clip_qkv=0.4, softmax_scale=0.7)), dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss", "logits"],
        [[3, 4, 5], [5, 4, 3, 6, 7, 8, 9]],
    ),
    "MPT with norms of queries and keys": ("NormedMpt", dict(mpt, attn_config=dict(qk_ln=True, alibi_bias_max=4)), dict(input_ids=[[3, 4, 5, 6, 7]]), ["logits"], None),
    "MPT's labels of tokens": ("MptForTokenClassification", dict(mpt, num_labels=3), dict(input_ids=[[3, 4, 5, 6]], labels=[[0, 2, 1, -100]]), ["loss", "logits"], None),
    "MPT's labels of texts": ("MptForSequenceClassification", dict(mpt, num_labels=3, pad_token_id=0), dict(input_ids=[[3, 4, 5, 6], [3, 4, 0, 0]], labels=[1, 2]), ["loss", "logits"], None),
    "MPT's answers": ("MptForQuestionAnswering", mpt, dict(input_ids=[[3, 4, 5, 6]], start_positions=[1], end_positions=[2]), ["loss", "start_logits"], None),
    "Answers of MPT with padding before a text": ("MptForQuestionAnswering", mpt, padded_answer, ["loss"], None),
    "Answers of BLOOM with padding before a text": ("BloomForQuestionAnswering", dict(vocab_size=11, hidden_size=12, n_layer=1, n_head=3), padded_answer, ["loss"], None),
    "Answers of Falcon with ALiBi and padding before a text": (
        "FalconForQuestionAnswering", dict(vocab_size=11, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, ffn_hidden_size=6, max_position_embeddings=16, alibi=True), padded_answer, ["loss"], None,
    ),
    "Answers of Mistral with a window and padding before a text": (
        "MistralForQuestionAnswering", dict(base, num_hidden_layers=1, num_key_value_heads=1, sliding_window=2), dict(padded_answer, attention_mask=[[0, 1, 1, 1, 1], [1, 1, 0, 0, 0]]), ["loss"], None,
    ),
})
CASES.update({
    "SqueezeBERT's words": ("SqueezeBertForMaskedLM", squeezebert, dict(input_ids=[[3, 4, 5, 6]], token_type_ids=[[0, 0, 1, 1]], labels=[[-100, 4, 7, 6]]), ["loss", "logits"], None),
    "SqueezeBERT's labels of texts": ("SqueezeBertForSequenceClassification", dict(squeezebert, num_labels=3, post_attention_groups=2), dict(input_ids=[[3, 4, 5], [6, 4, 7]], labels=[1, 2]), ["loss", "logits"], None),
    "SqueezeBERT's labels of tokens": ("SqueezeBertForTokenClassification", dict(squeezebert, num_labels=3), dict(input_ids=[[3, 4, 5]], labels=[[0, 2, 1]]), ["loss", "logits"], None),
    "SqueezeBERT's answers": ("SqueezeBertForQuestionAnswering", squeezebert, dict(input_ids=[[3, 4, 5]], start_positions=[1], end_positions=[2]), ["loss", "start_logits"], None),
    "SqueezeBERT's vectors": ("SqueezeBertModel", squeezebert, dict(input_ids=[[3, 4, 5]]), ["last_hidden_state", "pooler_output"], None),
})
CASES.update({
    # Two sums for the first text, and one for the second. The last has the tokens of an incomplete block, too.
    "LongT5 with sums of blocks": (
        "LongT5ForConditionalGeneration", dict(long_t5, encoder_attention_type="transient-global"),
        dict(input_ids=[[3, 4, 5, 6, 7, 8, 9, 1], [5, 4, 3, 1, 0, 0, 0, 0]], attention_mask=[[1] * 8, [1, 1, 1, 1, 0, 0, 0, 0]], labels=[[4, 5, 1], [7, 1, -100]]),
        ["loss", "encoder_last_hidden_state"], [[3, 4, 5, 6, 7, 8, 1], [5, 1]],
    ),
    "LongT5 with windows": ("LongT5ForConditionalGeneration", long_t5, dict(input_ids=[[3, 4, 5, 6, 7, 8, 9, 1]], labels=[[4, 5, 1]]), ["loss", "logits"], [[3, 4, 5, 6, 7, 8, 1]]),
    # In the first row, a block of tokens is padding. In the second one, padding ends within a block.
    "LongT5 with padding before the source": (
        "LongT5ForConditionalGeneration", dict(long_t5, encoder_attention_type="transient-global"),
        dict(input_ids=[[0, 0, 0, 0, 3, 4, 5, 6, 7, 8, 1], [0, 0, 5, 4, 3, 8, 7, 6, 2, 5, 1]], attention_mask=[[0] * 4 + [1] * 7, [0] * 2 + [1] * 9], labels=[[4, 5, 1], [7, 1, -100]]),
        ["loss", "encoder_last_hidden_state"], None,
    ),
    "LongT5's encoder with padding between tokens": (
        "LongT5EncoderModel", dict(long_t5, encoder_attention_type="transient-global"),
        dict(input_ids=[[3, 0, 4, 5, 0, 0, 6, 7, 8, 1]], attention_mask=[[1, 0, 1, 1, 0, 0, 1, 1, 1, 1]]), ["last_hidden_state"], None,
    ),
    "LongT5's encoder": ("LongT5EncoderModel", dict(long_t5, encoder_attention_type="transient-global"), dict(input_ids=[[3, 4, 5, 6, 7, 8, 1]]), ["last_hidden_state"], None),
})
CASES.update({
    "GLPN's depths": ("GLPNForDepthEstimation", glpn, dict(pixel_values=dict(shape=[1, 1, 8, 16]), labels=dict(shape=[1, 16, 32])), ["loss", "predicted_depth"], None),
    "Swin2SR of more pixels": ("Swin2SRForImageSuperResolution", swin2sr, dict(pixel_values=dict(shape=[2, 3, 4, 6])), ["reconstruction"], None),
    "Swin2SR of 9 grey pixels each": ("Swin2SRForImageSuperResolution", dict(swin2sr, num_channels=1, upscale=3, resi_connection="3conv", qkv_bias=False, img_range=255.0), dict(pixel_values=dict(shape=[1, 1, 2, 4])), ["reconstruction"], None),
    "Swin2SR with a small image first": ("Swin2SRForImageSuperResolution", dict(swin2sr, upsampler="pixelshuffle_aux"), image, ["reconstruction"], None),
    "Swin2SR of few parameters": ("Swin2SRForImageSuperResolution", dict(swin2sr, upsampler="pixelshuffledirect", image_size=2), image, ["reconstruction"], None),
    "Swin2SR of photos": ("Swin2SRForImageSuperResolution", dict(swin2sr, upsampler="nearest+conv", upscale=4), dict(pixel_values=dict(shape=[1, 3, 2, 4])), ["reconstruction"], None),
    "Swin2SR without noise": ("Swin2SRForImageSuperResolution", dict(swin2sr, upsampler="", upscale=1, window_size=3, image_size=9), dict(pixel_values=dict(shape=[1, 3, 3, 6])), ["reconstruction"], None),
    "Swin2SR's map": ("Swin2SRModel", swin2sr, image, ["last_hidden_state"], None),
    "GLPN's map": ("GLPNModel", glpn, dict(pixel_values=dict(shape=[1, 1, 8, 16])), ["last_hidden_state"], None),
})
CASES.update({
    "Whisper's classes": ("WhisperForAudioClassification", whisper, dict(input_features=dict(shape=[2, 4, 12]), labels=[1, 2]), ["loss", "logits"], None),
    "Whisper's classes by all layers": (
        "WhisperForAudioClassification", dict(whisper, use_weighted_layer_sum=True), dict(input_features=dict(shape=[1, 4, 12]), labels=[2]), ["loss", "logits"], None,
    ),
    "wav2vec2-BERT's voices of two lengths": (
        "Wav2Vec2BertForXVector", dict(conformer, use_weighted_layer_sum=True),
        dict(input_features=dict(shape=[2, 13, 5]), attention_mask=dict(shape=[2, 13], counts=[13, 9]), labels=[0, 2]), ["loss", "logits", "embeddings"], None,
    ),
    "wav2vec2-BERT's frames": (
        "Wav2Vec2BertForAudioFrameClassification", conformer, dict(input_features=dict(shape=[1, 6, 5]), labels=dict(shape=[1, 6, 3])), ["loss", "logits"], None,
    ),
})
CASES.update({
    # Both images have fewer patches than the rows.
    "SigLIP 2's maps of images with padding": (
        "Siglip2VisionModel", dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, num_channels=1, patch_size=2, num_patches=4),
        dict(pixel_values=dict(shape=[2, 3, 4]), pixel_attention_mask=[[1, 1, 0], [1, 0, 0]], spatial_shapes=[[2, 1], [1, 1]]), ["pooler_output", "attentions.0"], None,
    ),
})
CASES.update({
    "RT-DETR with learned queries": ("RTDetrForObjectDetection", rt_detr, dict(pixel_values=dict(shape=[2, 3, 64, 32])), ["logits", "pred_boxes"], None),
})

CASES.update({
    f"Llama with {act}": (
        "LlamaForCausalLM", dict(base, num_hidden_layers=1, hidden_act=act, tie_word_embeddings=True), dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss", "logits"], None,
    )
    for act in ["relu2", "relu6", "gelu_10", "laplace", "sqrtsoftplus"]
})

CASES.update({
    # Positions of a smaller grid are interpolated with a wider kernel, and registers have none.
    "DINOv2 with registers, classes of small images": (
        "Dinov2WithRegistersForImageClassification",
        dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, image_size=8, patch_size=2, num_channels=1, num_register_tokens=3, num_labels=3),
        dict(pixel_values=dict(shape=[2, 1, 4, 6]), labels=[1, 2]), ["loss", "logits"], None,
    ),
    "DINOv2 with registers and SwiGLU": (
        "Dinov2WithRegistersModel",
        dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, image_size=4, patch_size=2, num_channels=1, num_register_tokens=1, use_swiglu_ffn=True, qkv_bias=False),
        dict(pixel_values=dict(shape=[1, 1, 4, 4])), ["last_hidden_state", "pooler_output"], None,
    ),
    "Captions by RoBERTa": ("VisionEncoderDecoderModel", captions("roberta"), captioned, ["loss", "logits"], [[]]),
    "Captions by XLM-R": ("VisionEncoderDecoderModel", captions("xlm-roberta"), captioned, ["loss", "logits"], [[]]),
})

table = dict(
    use_timm_backbone=False, d_model=8, num_queries=4, encoder_layers=2, encoder_ffn_dim=6, encoder_attention_heads=2, decoder_layers=2, decoder_ffn_dim=6,
    decoder_attention_heads=2, num_labels=2,
    backbone_config=transformers.ResNetConfig(embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic", out_features=["stage1", "stage2"]),
)
CASES.update({
    "Table Transformer": (
        "TableTransformerForObjectDetection", dict(table, auxiliary_loss=True),
        dict(pixel_values=dict(shape=[1, 3, 34, 27]), labels=[dict(class_labels=[1, 0], boxes=[[0.4, 0.5, 0.3, 0.6], [0.7, 0.2, 0.2, 0.1]])]), ["loss", "logits", "pred_boxes"], None,
    ),
    "Table Transformer's objects, with learned positions": (
        "TableTransformerModel", dict(table, position_embedding_type="learned"), dict(pixel_values=dict(shape=[2, 3, 20, 33])), ["last_hidden_state", "encoder_last_hidden_state"], None,
    ),
})

small_image = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, image_size=4, patch_size=2, num_channels=1, num_labels=3)
CASES.update({
    "ViT-MSN's classes": ("ViTMSNForImageClassification", small_image, dict(pixel_values=dict(shape=[2, 1, 4, 4])), ["logits"], None),
    "ViT-MSN without biases of queries": ("ViTMSNModel", dict(small_image, qkv_bias=False), dict(pixel_values=dict(shape=[1, 1, 4, 4])), ["last_hidden_state"], None),
    "I-JEPA's classes": ("IJepaForImageClassification", small_image, dict(pixel_values=dict(shape=[2, 1, 4, 4]), labels=[1, 2]), ["loss", "logits"], None),
    "I-JEPA's vectors": ("IJepaModel", dict(small_image, image_size=[4, 6]), dict(pixel_values=dict(shape=[1, 1, 4, 6])), ["last_hidden_state"], None),
})

beit = dict(
    small_image, num_hidden_layers=4, out_indices=[1, 2, 3, 4], pool_scales=[1, 2], use_relative_position_bias=True, auxiliary_channels=4,
    auxiliary_num_convs=2, auxiliary_concat_input=True,
)
pixels = dict(pixel_values=dict(shape=[1, 1, 4, 4]), labels=dict(shape=[1, 5, 6], classes=3))
CASES.update({
    "BEiT's labels of pixels": ("BeitForSemanticSegmentation", beit, pixels, ["loss", "logits"], None),
    "data2vec's labels of pixels": ("Data2VecVisionForSemanticSegmentation", dict(beit, auxiliary_concat_input=False), pixels, ["loss", "logits"], None),
    # Unlike BEiT's, the body alone pools nothing.
    "data2vec's patches of images": ("Data2VecVisionModel", small_image, dict(pixel_values=dict(shape=[1, 1, 4, 4])), ["last_hidden_state"], None),
    "data2vec's classes of images": (
        "Data2VecVisionForImageClassification", dict(small_image, use_shared_relative_position_bias=True, use_absolute_position_embeddings=True),
        dict(pixel_values=dict(shape=[2, 1, 4, 4]), labels=[1, 2]), ["loss", "logits"], None,
    ),
})

data2vec = dict(sound, conv_pos_kernel_size=4, num_conv_pos_embeddings=2)
two_sounds = dict(input_values=dict(shape=[2, 61]), attention_mask=dict(shape=[2, 61], counts=[61, 47]))
wav2vec2_conformer = dict(sound, conv_depthwise_kernel_size=3, max_source_positions=20)
adapted_sound = dict(sound, add_adapter=True, num_adapter_layers=1, tdnn_kernel=[2, 1])
CASES.update({
    "data2vec's letters of sounds": ("Data2VecAudioForCTC", data2vec, dict(two_sounds, labels=[[3, 4], [5, -100]]), ["loss", "logits"], None),
    "data2vec's classes of sounds": ("Data2VecAudioForSequenceClassification", dict(data2vec, conv_pos_kernel_size=3, conv_bias=True, use_weighted_layer_sum=True), dict(two_sounds, labels=[1, 2]), ["loss", "logits"], None),
    # Convolutions read the frames of padding, which attention does not.
    "The Conformer of wav2vec 2.0": ("Wav2Vec2ConformerForCTC", wav2vec2_conformer, dict(two_sounds, labels=[[3, 4], [5, -100]]), ["loss", "logits"], None),
    "The Conformer of wav2vec 2.0 with rotary positions": (
        "Wav2Vec2ConformerForXVector", dict(wav2vec2_conformer, position_embeddings_type="rotary", feat_extract_norm="layer"), dict(two_sounds, labels=[0, 2]), ["loss", "logits"], None,
    ),
    "WavLM's voices after an adapter": (
        "WavLMForXVector", dict(adapted_sound, adapter_kernel_size=2, num_buckets=8, max_bucket_distance=10, feat_extract_norm="layer"), dict(two_sounds, labels=[1, 2]), ["loss", "logits"], None,
    ),
    "wav2vec2-BERT's voices after an adapter": (
        "Wav2Vec2BertForXVector", dict(conformer, add_adapter=True, tdnn_kernel=[2, 1]),
        dict(input_features=dict(shape=[2, 13, 5]), attention_mask=dict(shape=[2, 13], counts=[13, 9]), labels=[0, 2]), ["loss", "logits"], None,
    ),
})

pvt = dict(
    image_size=16, num_channels=1, num_encoder_blocks=2, depths=[2, 1], sequence_reduction_ratios=[2, 1], hidden_sizes=[4, 6], patch_sizes=[4, 2], strides=[4, 2],
    num_attention_heads=[2, 3], mlp_ratios=[1, 2], num_labels=3,
)
CASES.update({
    # Images that are not square have as many patches as square ones.
    "PVT's classes": ("PvtForImageClassification", pvt, dict(pixel_values=dict(shape=[2, 1, 8, 32]), labels=[1, 2]), ["loss", "logits"], None),
    "PVT's vectors, with gaps between patches": ("PvtModel", dict(pvt, strides=[3, 1], qkv_bias=False, layer_norm_eps=0.1), dict(pixel_values=dict(shape=[1, 1, 16, 16])), ["last_hidden_state"], None),
    "ViT-MAE without its decoder": (
        "MaskedAutoencoder", dict(small_image, mask_ratio=0.0, decoder_hidden_size=4, decoder_num_attention_heads=1, decoder_num_hidden_layers=1, decoder_intermediate_size=3),
        dict(pixel_values=dict(shape=[2, 1, 4, 4])), ["last_hidden_state"], None,
    ),
})

hiera = dict(
    embed_dim=4, image_size=[8, 8], patch_size=[3, 3], patch_stride=[2, 2], patch_padding=[1, 1], mlp_ratio=1.0, depths=[1, 2], num_heads=[1, 2], num_query_pool=1,
    masked_unit_size=[2, 2], masked_unit_attention=[True, False], num_channels=1, num_labels=3,
)
CASES.update({
    # The first layer of the second stage has windows of the first one.
    "Hiera's classes": ("HieraForImageClassification", hiera, dict(pixel_values=dict(shape=[2, 1, 8, 8]), labels=[1, 2]), ["loss", "logits"], None),
    "Hiera's patches, in squares": ("HieraModel", dict(hiera, masked_unit_attention=[False, True], depths=[2, 1], masked_unit_size=[4, 4]), dict(pixel_values=dict(shape=[1, 1, 8, 8])), ["last_hidden_state", "pooler_output"], None),
})

sew = {key: value for key, value in sound.items() if "tdnn" not in key and "xvector" not in key}
CASES.update({
    # The encoder reads three frames as one, of which the second sound has a part; the last frames are zero.
    "SEW's letters": ("SEWForCTC", dict(sew, squeeze_factor=3, num_conv_pos_embeddings=3), dict(two_sounds, labels=[[3, 4], [5, -100]]), ["loss", "logits"], None),
    "SEW's classes, without a projection": (
        "SEWForSequenceClassification", dict(sew, conv_dim=[4, 8], feat_extract_norm="layer", conv_bias=True), dict(two_sounds, labels=[1, 2]), ["loss", "logits"], None,
    ),
})

# Modules to which PEFT adds LoRA, by their names in memory.
ADAPTERS = {
    "DeiT with a teacher": ["q_proj", "v_proj", "o_proj", "fc1", "fc2"],
    "Whisper's classes": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
}


def weights(index, count):
    """Numbers of the tensor at `index` of the names in order: the upper bits of a linear congruential generator."""
    state, values = index * 7919 + 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) / 65536 - 0.5)
    return torch.tensor(values, dtype=torch.float64)


def stored_values(names, stored):
    """The values of a file, by the formula."""
    values = {key: weights(i, stored[key].numel()) + key.endswith("running_var") for i, key in enumerate(names)}
    return {key: values[key].reshape(stored[key].shape).to(stored[key].dtype) for key in names}


def input_of(key, value):
    if isinstance(value, list) and isinstance(value[0], dict):
        return [dict(class_labels=torch.tensor(each["class_labels"]), boxes=torch.tensor(each["boxes"], dtype=torch.float64)) for each in value]
    if not isinstance(value, dict):
        return torch.tensor(value, dtype=torch.float64 if key == "pixel_values" else torch.long)
    if "counts" in value:
        return (torch.arange(value["shape"][1])[None] < torch.tensor(value["counts"])[:, None]).long()
    numbers = weights(0, math.prod(value["shape"])).reshape(value["shape"])
    if key == "labels":
        return ((numbers + 0.5) * value["classes"]).long() if "classes" in value else numbers + 0.5
    return numbers


def written(model, prompts, inputs):
    """Tokens after prompts. An empty prompt is the first image, of which no token may be written twice."""
    same = dict(do_sample=False, eos_token_id=None, pad_token_id=0, return_dict_in_generate=True, output_logits=True)
    rows = []
    for prompt in prompts:
        if not prompt:
            given = dict(pixel_values=inputs["pixel_values"][:1], no_repeat_ngram_size=1, max_new_tokens=10)
        else:
            given = dict(max_new_tokens=6, input_ids=torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long))
        out = copy.deepcopy(model).generate(**given, **same)
        ids = out.sequences[0, 1 if model.config.is_encoder_decoder else len(prompt) :]
        steps = torch.stack([logits[0].log_softmax(-1)[id] for logits, id in zip(out.logits, ids)])
        rows.append(dict(prompt=prompt, ids=ids.tolist(), logProbabilities=rounded(steps)))
    return rows


def adapted(model, modules, inputs, folder):
    tuned = peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(r=2, lora_alpha=4, target_modules=modules))
    tuned.save_pretrained(folder, save_embedding_layers=False)
    stored = load_file(f"{folder}/adapter_model.safetensors")
    names = sorted(stored)
    save_file({key: weights(i, stored[key].numel()).reshape(stored[key].shape).float() for i, key in enumerate(names)}, f"{folder}/adapter_model.safetensors")
    loaded = peft.PeftModel.from_pretrained(copy.deepcopy(model), folder).eval()
    return dict(modules=modules, shapes={key: list(stored[key].shape) for key in names}, logits=rounded(loaded(**inputs).logits))


def rounded(tensor):
    return [float(f"{x:.7g}") for x in tensor.detach().double().flatten().tolist()]


def map_of(output, inputs):
    """The attention of the first layer, without that of padding."""
    return output.attentions[0] * inputs["pixel_attention_mask"][:, None, :, None]


def softmax_as_given(scores, dim=None, dtype=None, **_):
    return softmax(scores, dim=dim, dtype=None if scores.dtype == torch.float64 else dtype)


# In float32, the lowest float64, which masks add to scores, would be infinite.
softmax = torch.nn.functional.softmax
torch.nn.functional.softmax = softmax_as_given
as_float = torch.Tensor.float

# Masks that hide tokens between others. Hidden tokens have no label.
hidden = dict(
    input_ids=[[3, 4, 0, 5, 6, 7], [4, 0, 0, 7, 8, 5]], attention_mask=[[1, 1, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1]], labels=[[3, 4, -100, 5, 6, 7], [4, -100, -100, 7, 8, 5]],
)
hidden_source = dict(hidden, labels=[[4, 5, 1, 6], [7, 1, -100, -100]], decoder_attention_mask=[[1, 0, 1, 1], [1, 1, 1, 0]])
CASES.update({
    "Llama whose mask hides tokens": ("LlamaForCausalLM", dict(base, num_key_value_heads=1), hidden, ["loss"], None),
    "Mixtral with a window, whose mask hides tokens from the balance loss": (
        "MixtralForCausalLM", dict(base, num_key_value_heads=1, sliding_window=3, num_local_experts=3, num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.5), hidden, ["loss"], None,
    ),
    "Granite 4 H whose mask hides tokens": (
        "GraniteMoeHybridForCausalLM",
        dict(
            base, num_key_value_heads=1, layer_types=["linear_attention", "full_attention"], attention_multiplier=0.5, num_local_experts=0, shared_intermediate_size=4,
            mamba_n_heads=2, mamba_expand=1, mamba_d_state=3, mamba_d_conv=3, mamba_proj_bias=True,
        ),
        hidden, ["loss"], None,
    ),
    "BLOOM whose mask hides tokens": ("BloomForCausalLM", dict(vocab_size=11, hidden_size=12, n_layer=1, n_head=3), hidden, ["loss"], None),
    "T5 whose masks hide tokens": (
        "T5ForConditionalGeneration", dict(vocab_size=11, d_model=8, d_kv=4, d_ff=6, num_layers=1, num_heads=2, relative_attention_num_buckets=8, pad_token_id=0, decoder_start_token_id=0),
        hidden_source, ["loss"], None,
    ),
    "BART whose masks hide tokens": (
        "BartForConditionalGeneration",
        dict(
            vocab_size=11, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=6, decoder_ffn_dim=6,
            max_position_embeddings=16, pad_token_id=1, decoder_start_token_id=2,
        ),
        hidden_source, ["loss"], None,
    ),
    "BERT as a decoder": (
        "BertLMHeadModel", dict(base, is_decoder=True, type_vocab_size=1), dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss", "logits"], [[3, 4, 5], [5, 4, 3, 6, 7, 8, 9]],
    ),
    "RoBERTa as a decoder": (
        "RobertaForCausalLM", dict(base, is_decoder=True, type_vocab_size=1, pad_token_id=1), dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss", "logits"], None,
    ),
    "SpeechT5's vocoder": (
        "Vocoder",
        dict(model_in_dim=5, upsample_initial_channel=8, upsample_rates=[3, 2], upsample_kernel_sizes=[5, 4], resblock_kernel_sizes=[3, 5], resblock_dilation_sizes=[[1, 3], [1, 2]], leaky_relu_slope=0.2),
        dict(spectrogram=dict(shape=[2, 4, 5])), ["waveform"], None,
    ),
    "Gemma 4 with placeholders that nothing replaces": (
        "Gemma4ForConditionalGeneration",
        dict(
            text_config=dict(base, hidden_activation="gelu_pytorch_tanh", num_hidden_layers=1, layer_types=["full_attention"], num_key_value_heads=1, head_dim=4, global_head_dim=4, hidden_size_per_layer_input=4, vocab_size_per_layer_input=11, num_kv_shared_layers=0),
            vision_config=dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=4, intermediate_size=6, patch_size=2, position_embedding_size=4),
            audio_config=None, image_token_id=8, video_token_id=9, audio_token_id=10,
        ),
        dict(input_ids=[[3, 8, 4, 9, 10, 5]], labels=[[3, 4, 5, 6, 7, 3]]), ["loss", "logits"], None,
    ),
    "MPT with an expansion ratio, which transformers ignores": ("MptForCausalLM", dict(mpt, expansion_ratio=2), dict(input_ids=[[3, 4, 5, 6, 7]], labels=[[3, 4, 5, 6, 7]]), ["loss"], None),
})

cases = []
for name, (cls, settings, given, results, prompts) in CASES.items():
    kind = getattr(transformers, cls)
    torch.Tensor.float = (lambda scores: scores) if cls == "MptForQuestionAnswering" else as_float
    with tempfile.TemporaryDirectory() as folder:
        kind(kind.config_class(**settings)).save_pretrained(folder)
        stored = load_file(f"{folder}/model.safetensors")
        names = sorted(stored)
        save_file(stored_values(names, stored), f"{folder}/model.safetensors", {"format": "pt"})
        config = json.loads(pathlib.Path(folder, "config.json").read_text())
        model = kind.from_pretrained(folder, experts_implementation="eager", attn_implementation="sdpa" if "attention_mask" in given and kind._supports_sdpa else "eager", dtype=torch.float64).eval()
        inputs = {key: input_of(key, value) for key, value in given.items()}
        torch.set_default_dtype(torch.float64 if cls.endswith("ObjectDetection") else torch.float32)  # of weights in the loss
        output = copy.deepcopy(model)(**inputs, **({"output_attentions": True} if "attentions.0" in results else {}))
        case = dict(name=name, config=config, shapes={key: list(stored[key].shape) for key in names}, inputs=given)
        case["results"] = {key: rounded(map_of(output, inputs) if key == "attentions.0" else output[key]) for key in results}
        squared = next((key for key in ("reconstruction", "waveform") if key in results), None)
        if squared or "loss" in results:
            trained = copy.deepcopy(model)
            if cls.startswith("Whisper"):
                trained.encoder.embed_positions.requires_grad_(False)  # as in its constructor; from_pretrained forgets it
            out = trained(**inputs)
            loss = out[squared].square().sum() if squared else out.loss
            loss.backward()
            for parameter in [*trained.parameters(), *trained.buffers()]:
                parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            trained.save_pretrained(folder)
            gradients = load_file(f"{folder}/model.safetensors")
            case["gradients"] = {key: rounded((gradients[key].double().flatten() * weights(i, stored[key].numel())).sum())[0] for i, key in enumerate(names) if gradients[key].any() and "running_" not in key}
        if name in ADAPTERS:
            case["adapter"] = adapted(model, ADAPTERS[name], inputs, folder)
        if prompts:
            case["written"] = written(model, prompts, inputs)
        cases.append(case)
    torch.set_default_dtype(torch.float32)
(HERE / "variants.json").write_text(json.dumps(cases) + "\n")
