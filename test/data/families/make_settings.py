#!/usr/bin/env python3
"""Writes the folders beside this file: tiny random models with rare settings, and what transformers computes.

  pip install torch transformers && python3 make_settings.py [NAME …]

SOURCE.txt describes the files of a folder: float64 arithmetic, stored as float32.
"""
import argparse
import json
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("names", nargs="*", metavar="NAME", help="folders to write; default: all")
wanted = parser.parse_args().names

HERE = pathlib.Path(__file__).parent
TIME = 9
NEW = 5
VOCABULARY = 19
common = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0)
base = dict(
    common, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10, max_position_embeddings=32, initializer_range=0.3
)
grouped = dict(base, num_key_value_heads=1)
gpt2 = dict(common, n_embd=12, n_layer=2, n_head=3, n_positions=32, initializer_range=0.3)
opt = dict(common, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, ffn_dim=10, max_position_embeddings=32, init_std=0.3)


t5 = dict(
    vocab_size=VOCABULARY, d_model=12, d_kv=5, d_ff=10, num_layers=2, num_heads=3, relative_attention_num_buckets=8, relative_attention_max_distance=6,
    feed_forward_proj="gated-gelu", pad_token_id=0, eos_token_id=1,
)
falcon = dict(
    common, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, ffn_hidden_size=10, max_position_embeddings=32, initializer_range=0.3
)
nomic = {key: value for key, value in base.items() if "token_id" not in key or key == "pad_token_id"}


sound = dict(
    hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10, conv_dim=[6, 8], conv_kernel=[5, 3], conv_stride=[3, 2], num_feat_extract_layers=2,
    num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=7, pad_token_id=0, mask_time_prob=0.0, hidden_dropout=0.0, activation_dropout=0.0,
    attention_dropout=0.0, final_dropout=0.0, layerdrop=0.0,
)
segformer = dict(
    num_encoder_blocks=2, depths=[2, 1], sr_ratios=[2, 1], hidden_sizes=[4, 6], patch_sizes=[5, 3], strides=[3, 2], num_attention_heads=[2, 3], mlp_ratios=[2, 3],
    decoder_hidden_size=5, drop_path_rate=0.0, initializer_range=0.3,
)
bart_decoder = dict(
    common, d_model=12, decoder_layers=2, decoder_attention_heads=3, decoder_ffn_dim=10, max_position_embeddings=32, init_std=0.3, scale_embedding=True,
    encoder_layers=1, encoder_attention_heads=3, encoder_ffn_dim=10,
)
davit = dict(
    depths=[1, 2], patch_size=[5, 3], patch_stride=[3, 2], patch_padding=[2, 1], patch_prenorm=[False, True], embed_dim=[4, 6], num_heads=[2, 3], num_groups=[1, 2],
    window_size=2, mlp_ratio=1.5, projection_dim=12, max_position_embeddings=6, max_temporal_embeddings=3, initializer_range=0.3,
)
dpt = dict(hidden_size=6, num_hidden_layers=2, num_attention_heads=2, intermediate_size=4, fusion_hidden_size=2, initializer_range=0.3)
swin = dict(patch_size=4, embed_dim=4, mlp_ratio=1.5, drop_path_rate=0.0, initializer_range=0.3)
naflex = dict(
    hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, patch_size=2, num_patches=16, num_channels=3, initializer_range=0.3
)
bert_sound = dict(
    hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10, feature_projection_input_dim=6, vocab_size=7, pad_token_id=0, mask_time_prob=0.0,
    final_dropout=0.0, layerdrop=0.0, conformer_conv_dropout=0.0, conv_depthwise_kernel_size=3, left_max_position_embeddings=2, right_max_position_embeddings=4,
)
listener = dict(
    vocab_size=VOCABULARY, hidden_size=12, intermediate_size=10, max_position_embeddings=32, initializer_range=0.3, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    decoder_start_token_id=1,
)
image = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=10, image_size=12, patch_size=4, initializer_range=0.3)


gemma2 = dict(grouped, head_dim=4, sliding_window=3, query_pre_attn_scalar=3)
gemma4 = dict(grouped, head_dim=4, global_head_dim=8, sliding_window=4, vocab_size_per_layer_input=VOCABULARY)
long = dict(base, attention_window=[4, 6])
led = dict(
    common, d_model=12, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3, decoder_attention_heads=2, encoder_ffn_dim=10, decoder_ffn_dim=8,
    max_encoder_position_embeddings=24, max_decoder_position_embeddings=20, init_std=0.3, decoder_start_token_id=2, attention_window=4,
)
page = dict(
    base, coordinate_size=2, shape_size=2, max_2d_position_embeddings=1024, input_size=8, patch_size=4, rel_pos_bins=4, max_rel_pos=6, rel_2d_pos_bins=6, max_rel_2d_pos=300,
)
mobile = dict(base, hidden_size=15, embedding_size=7, intra_bottleneck_size=12, num_feedforward_networks=3)
clap_text = dict(
    common, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=10, max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
)
clap_audio = dict(
    spec_size=40, num_mel_bins=16, patch_size=5, patch_stride=[5, 5], patch_embeds_hidden_size=4, depths=[2, 1], num_attention_heads=[2, 1], hidden_size=8, window_size=3,
    mlp_ratio=1.5, hidden_dropout_prob=0.0,
)
xlnet = dict(vocab_size=VOCABULARY, d_model=12, n_layer=2, n_head=3, d_inner=10, pad_token_id=0, initializer_range=0.3)


def rope(**settings):
    return dict(rope_parameters=dict(rope_theta=100.0, **settings))


delta = dict(
    grouped, head_dim=4, linear_num_key_heads=2, linear_num_value_heads=6, linear_key_head_dim=4, linear_value_head_dim=4, linear_conv_kernel_dim=3,
    layer_types=["linear_attention", "full_attention"],
)
ernie_moe = dict(grouped, head_dim=4, moe_intermediate_size=6, moe_k=2, moe_num_experts=4, initializer_range=0.3)

CASES = {
    "gpt2-scales": ("GPT2LMHeadModel", dict(gpt2, scale_attn_weights=False, scale_attn_by_inverse_layer_idx=True, n_inner=10, activation_function="relu")),
    "gpt2-sequence": ("GPT2ForSequenceClassification", dict(gpt2, n_inner=10, num_labels=3)),
    "gpt2-token": ("GPT2ForTokenClassification", dict(gpt2, n_inner=10, num_labels=3)),
    "gpt-neox-serial": (
        "GPTNeoXForCausalLM",
        dict(base, use_parallel_residual=False, attention_bias=False, tie_word_embeddings=True, **rope(rope_type="linear", factor=2.0, partial_rotary_factor=0.5)),
    ),
    "opt-post": ("OPTForCausalLM", dict(opt, do_layer_norm_before=False, word_embed_proj_dim=8)),
    "opt-sequence": ("OPTForSequenceClassification", dict(opt, word_embed_proj_dim=8, enable_bias=False, num_labels=3)),
    "llama-biases": ("LlamaForCausalLM", dict(grouped, head_dim=6, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "llama-dynamic": ("LlamaForCausalLM", dict(grouped, **{**rope(rope_type="dynamic", factor=4.0), "max_position_embeddings": 6})),
    "llama-regression": ("LlamaForSequenceClassification", dict(grouped, num_labels=1)),
    "qwen2-windows": ("Qwen2ForCausalLM", dict(grouped, use_sliding_window=True, sliding_window=4, max_window_layers=1)),
    "qwen3-token": ("Qwen3ForTokenClassification", dict(grouped, head_dim=6, attention_bias=True, num_labels=3)),
    "gemma2-uncapped": (
        "Gemma2ForCausalLM",
        dict(grouped, head_dim=6, attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True, sliding_window=4, query_pre_attn_scalar=10),
    ),
    "gemma2-sequence": ("Gemma2ForSequenceClassification", dict(grouped, head_dim=6, attn_logit_softcapping=2.0, final_logit_softcapping=1.0, sliding_window=4, num_labels=3)),
    "phi3-longrope": (
        "Phi3ForCausalLM",
        dict(grouped, original_max_position_embeddings=4, sliding_window=4, **rope(rope_type="longrope", short_factor=[1.0, 1.5], long_factor=[2.0, 5.0])),
    ),
    "smollm3-windows": (
        "SmolLM3ForCausalLM",
        dict(grouped, no_rope_layers=[0, 1], use_sliding_window=True, sliding_window=4, attention_bias=True, mlp_bias=True, tie_word_embeddings=False),
    ),
    "mixtral-window": ("MixtralForCausalLM", dict(grouped, head_dim=6, sliding_window=4, num_local_experts=3, num_experts_per_tok=2, hidden_act="gelu", tie_word_embeddings=True)),
    "mixtral-question": ("MixtralForQuestionAnswering", dict(grouped, num_local_experts=4, num_experts_per_tok=1)),
    "gpt-neox-odd": ("GPTNeoXForCausalLM", dict(base, num_attention_heads=1, **rope(rope_type="default", partial_rotary_factor=0.25))),
    # Written texts outgrow what turns by the short factors.
    "phi3-outgrown": (
        "Phi3ForCausalLM",
        dict(grouped, original_max_position_embeddings=8, **rope(rope_type="longrope", short_factor=[1.0, 1.5], long_factor=[2.0, 5.0])),
    ),
    "llama-question": ("LlamaForQuestionAnswering", dict(grouped)),
    "gpt2-question": ("GPT2ForQuestionAnswering", dict(gpt2, n_inner=10)),
    "nomic-mlm": ("NomicBertForMaskedLM", dict(nomic)),
    "nomic-sequence": ("NomicBertForSequenceClassification", dict(nomic, num_labels=3)),
    "t5-encoder": ("T5EncoderModel", dict(t5)),
    "t5-token": ("T5ForTokenClassification", dict(t5, feed_forward_proj="relu", num_labels=3)),
    "mt5-encoder": ("MT5EncoderModel", dict(t5)),
    # Its file has the tables of positions, rounded.
    "marian-half": (
        "MarianModel",
        dict(
            vocab_size=VOCABULARY, decoder_vocab_size=VOCABULARY, d_model=12, encoder_layers=2, decoder_layers=1, encoder_attention_heads=3,
            decoder_attention_heads=2, encoder_ffn_dim=10, decoder_ffn_dim=8, max_position_embeddings=32, scale_embedding=True, init_std=0.3,
            pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
        ),
    ),
    # transformers looks for `truncate` beside the kinds of layers, not in them.
    "gemma3-yarn": (
        "Gemma3ForCausalLM",
        dict(
            grouped, head_dim=8, layer_types=["full_attention", "sliding_attention"], sliding_window=4, query_pre_attn_scalar=10,
            rope_parameters=dict(
                full_attention=dict(rope_type="yarn", rope_theta=100.0, factor=2.0, original_max_position_embeddings=16, truncate=False),
                sliding_attention=dict(rope_type="default", rope_theta=50.0),
            ),
        ),
    ),
    # Each token sees those behind it, too: EmbeddingGemma.
    "gemma3-embedding": ("Gemma3TextModel", dict(grouped, head_dim=6, use_bidirectional_attention=True, sliding_window=4, layer_types=["sliding_attention", "full_attention"])),
    "gemma3-sequence": (
        "Gemma3TextForSequenceClassification",
        dict(grouped, head_dim=6, use_bidirectional_attention=True, sliding_window=4, layer_types=["sliding_attention", "full_attention"], num_labels=3),
    ),
    # Wide networks where keys are those of other layers, biases, and another number of keys in full layers.
    "gemma4-wide": (
        "Gemma4ForCausalLM",
        dict(
            gemma4, num_hidden_layers=5, num_kv_shared_layers=3, use_double_wide_mlp=True, attention_bias=True, hidden_size_per_layer_input=4,
            layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention", "full_attention"],
        ),
    ),
    "gemma4-experts": (
        "Gemma4ForCausalLM",
        dict(
            gemma4, num_hidden_layers=2, hidden_size_per_layer_input=3, enable_moe_block=True, num_experts=3, top_k_experts=1, moe_intermediate_size=5, attention_k_eq_v=True,
            attention_bias=True, num_global_key_value_heads=3, tie_word_embeddings=False, final_logit_softcapping=2.0, hidden_activation="silu",
            layer_types=["sliding_attention", "full_attention"], rope_parameters=dict(
                full_attention=dict(rope_type="proportional", rope_theta=100.0, partial_rotary_factor=0.75, factor=2.0),
                sliding_attention=dict(rope_type="linear", rope_theta=50.0, factor=3.0),
            ),
        ),
    ),
    "gemma4-both-ways": (
        "Gemma4TextModel",
        dict(gemma4, num_hidden_layers=2, hidden_size_per_layer_input=0, use_bidirectional_attention="all", layer_types=["sliding_attention", "full_attention"]),
    ),
    "embedding-gemma2": (
        "EmbeddingGemma2TextModel",
        dict(
            {key: value for key, value in gemma4.items() if key != "vocab_size_per_layer_input"}, num_hidden_layers=3, sliding_window_pattern=2, num_global_key_value_heads=3,
            hidden_size_per_layer_input=5, embedding_dim=7, attention_bias=True, sliding_window=2,
        ),
    ),
    "gemma3n-streams": (
        "Gemma3nForCausalLM",
        dict(
            grouped, num_hidden_layers=3, head_dim=4, sliding_window=4, num_kv_shared_layers=0, altup_num_inputs=3, altup_active_idx=1, altup_correct_scale=False,
            laurel_rank=2, hidden_size_per_layer_input=3, vocab_size_per_layer_input=VOCABULARY, attention_bias=True, activation_sparsity_pattern=[0.5, 0.0, 0.3],
            tie_word_embeddings=False, layer_types=["full_attention", "sliding_attention", "full_attention"],
        ),
    ),
    "t5gemma-uneven": (
        "T5GemmaForConditionalGeneration",
        dict(
            common, encoder=dict(gemma2, hidden_size=8, num_attention_heads=2, num_hidden_layers=1, attn_logit_softcapping=None),
            decoder=dict(gemma2, attention_bias=True, final_logit_softcapping=None), tie_word_embeddings=False, decoder_start_token_id=1,
        ),
    ),
    # The token that ends an image has a vector of its own.
    "t5gemma2-capped": (
        "T5Gemma2ForConditionalGeneration",
        dict(
            common, tie_word_embeddings=False, decoder_start_token_id=1,
            encoder=dict(
                text_config=dict(gemma2, sliding_window=6, attn_logit_softcapping=2.0, layer_types=["full_attention", "sliding_attention"]),
                vision_config=dict(hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, image_size=4, patch_size=2),
                eoi_token_index=5, image_token_index=17, mm_tokens_per_image=1,
            ),
            decoder=dict(gemma2, num_hidden_layers=3, attn_logit_softcapping=1.5, final_logit_softcapping=2.0, attention_bias=True, layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
        ),
    ),
    "t5gemma-encoder": ("T5GemmaEncoderModel", dict(common, encoder=dict(gemma2, attn_logit_softcapping=1.0), decoder=dict(gemma2), is_encoder_decoder=False)),
    # Logits are [B] once there are labels.
    "deberta-regression": ("DebertaV2ForSequenceClassification", dict(base, relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=4, num_labels=1)),
    "deberta-plain": ("DebertaV2ForQuestionAnswering", dict(base, relative_attention=False, conv_kernel_size=3)),
    "falcon-two-norms": ("FalconForCausalLM", dict(falcon, hidden_size=16, new_decoder_architecture=True, num_kv_heads=2, num_attention_heads=4)),
    "falcon-one-norm": (
        "FalconForCausalLM",
        dict(falcon, new_decoder_architecture=True, num_kv_heads=1, num_ln_in_parallel_attn=1, bias=True, tie_word_embeddings=False),
    ),
    "falcon-serial": ("FalconForSequenceClassification", dict(falcon, multi_query=False, parallel_attn=False, num_labels=3)),
    "stablelm-norms": ("StableLmForCausalLM", dict(grouped, qk_layernorm=True, use_parallel_residual=True, use_qkv_bias=True, **rope(rope_type="default", partial_rotary_factor=0.5))),
    "phi-norms": ("PhiForCausalLM", dict(grouped, qk_layernorm=True, **rope(rope_type="default", partial_rotary_factor=0.5))),
    "exaone4-plain": ("Exaone4ForCausalLM", dict(grouped, sliding_window=None, layer_types=["full_attention"] * 2)),
    "cohere-norms": ("CohereForCausalLM", dict(grouped, use_qk_norm=True, attention_bias=True, logit_scale=0.3, tie_word_embeddings=False)),
    "cohere2-sequence": ("Cohere2ForCausalLM", dict(grouped, sliding_window=4, sliding_window_pattern=2, logit_scale=0.3)),
    "hunyuan-sequence": ("HunYuanDenseV1ForSequenceClassification", dict(grouped, head_dim=6, attention_bias=True, num_labels=3)),
    "granite-biases": (
        "GraniteForCausalLM",
        dict(grouped, attention_bias=True, mlp_bias=True, attention_multiplier=0.3, embedding_multiplier=2.0, logits_scaling=1.5, residual_multiplier=0.5),
    ),
    "glm4-sequence": ("Glm4ForSequenceClassification", dict(grouped, head_dim=4, attention_bias=False, num_labels=3, **rope(rope_type="default", partial_rotary_factor=1.0))),
    "bloom-token": ("BloomForTokenClassification", dict(common, hidden_size=12, n_layer=2, n_head=3, initializer_range=0.3, num_labels=3)),
    "gptj-tied": ("GPTJForCausalLM", dict(gpt2, n_inner=10, rotary_dim=2, tie_word_embeddings=True, activation_function="relu")),
    "starcoder2-window": ("Starcoder2ForCausalLM", dict(grouped, sliding_window=4, use_bias=False, tie_word_embeddings=False)),
    "olmo3-yarn": (
        "Olmo3ForCausalLM",
        dict(
            grouped, attention_bias=True, sliding_window=4, layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(
                full_attention=dict(rope_type="yarn", rope_theta=100.0, factor=2.0, original_max_position_embeddings=16),
                sliding_attention=dict(rope_type="default", rope_theta=50.0),
            ),
        ),
    ),
    "ernie4-5-biases": ("Ernie4_5ForCausalLM", dict(grouped, head_dim=6, use_bias=True, tie_word_embeddings=False)),
    "ministral3-window": (
        "Ministral3ForCausalLM",
        dict(
            grouped, head_dim=6, sliding_window=4,
            **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=4, llama_4_scaling_beta=0.3, mscale=1.0, mscale_all_dim=0.5),
        ),
    ),
    "beit-shared": (
        "BeitForImageClassification",
        dict(image, use_shared_relative_position_bias=True, use_absolute_position_embeddings=True, use_mean_pooling=False, use_mask_token=True, layer_scale_init_value=0.0, num_labels=3),
    ),
    "beit-resized": ("BeitModel", dict(image, use_shared_relative_position_bias=True, use_relative_position_bias=True)),
    "beit-plain": ("BeitForImageClassification", dict(image, num_labels=3)),
    "dinov3-gated": (
        "DINOv3ViTModel",
        dict(image, use_gated_mlp=True, hidden_act="silu", query_bias=False, key_bias=True, value_bias=False, proj_bias=False, mlp_bias=False, num_register_tokens=0),
    ),
    "dinov3-resized": ("DINOv3ViTModel", dict(image, num_register_tokens=3)),
    "wav2vec2-stable": (
        "Wav2Vec2ForCTC",
        dict(sound, do_stable_layer_norm=True, feat_extract_norm="layer", conv_bias=True, num_conv_pos_embeddings=5, ctc_loss_reduction="mean", pad_token_id=3),
    ),
    # Adapters of a language, as in MMS.
    "wav2vec2-language": (
        "Wav2Vec2ForCTC",
        dict(sound, do_stable_layer_norm=True, feat_extract_norm="layer", num_conv_pos_embeddings=5, adapter_attn_dim=4),
    ),
    "wav2vec2-body": ("Wav2Vec2Model", dict(sound, mask_time_prob=0.05)),
    # Windows and patches that reach beyond the image; the second stage is as small as a window.
    "swin-odd": (
        "SwinForImageClassification",
        dict(swin, image_size=[27, 19], depths=[3, 2], num_heads=[2, 1], window_size=3, qkv_bias=False, hidden_act="relu", num_labels=3),
    ),
    "swin-positions": ("SwinModel", dict(swin, image_size=32, depths=[2, 1, 1], num_heads=[1, 2, 2], window_size=2, use_absolute_embeddings=True)),
    "donut-swin": ("DonutSwinModel", dict(swin, image_size=[32, 24], depths=[2, 2], num_heads=[2, 2], window_size=3)),
    "convnext-unscaled": (
        "ConvNextModel",
        dict(image_size=16, patch_size=2, depths=[2, 1], num_stages=2, hidden_sizes=[6, 4], hidden_act="relu", layer_scale_init_value=0.0, layer_norm_eps=1e-3),
    ),
    "convnextv2": (
        "ConvNextV2ForImageClassification",
        dict(image_size=16, patch_size=2, depths=[1, 2], num_stages=2, hidden_sizes=[4, 6], num_labels=3),
    ),
    "siglip2-classes": ("Siglip2ForImageClassification", dict(vision_config=naflex, num_labels=3)),
    "siglip2-headless": ("Siglip2VisionModel", dict(naflex, vision_use_head=False, num_patches=9)),
    # Captions of images: another number of features in the encoder, read by a projection, or by the decoder itself.
    "vision-gpt2": ("VisionEncoderDecoderModel", dict(encoder=dict(image, model_type="vit", hidden_size=9), decoder=dict(gpt2, model_type="gpt2", n_inner=10))),
    "vision-bert": (
        "VisionEncoderDecoderModel",
        dict(encoder=dict(image, model_type="deit", qkv_bias=False), decoder=dict(base, model_type="bert", tie_word_embeddings=False)),
    ),
    "vision-trocr": (
        "VisionEncoderDecoderModel",
        dict(
            encoder=dict(image, model_type="beit", hidden_size=9, use_shared_relative_position_bias=True),
            decoder=dict(
                bart_decoder, model_type="trocr", use_learned_position_embeddings=False, layernorm_embedding=False, cross_attention_hidden_size=9,
                tie_word_embeddings=False,
            ),
        ),
    ),
    "vision-mbart": (
        "VisionEncoderDecoderModel",
        dict(encoder=dict(swin, model_type="donut-swin", image_size=[32, 24], depths=[2, 1], num_heads=[2, 2], window_size=3, embed_dim=6), decoder=dict(bart_decoder, model_type="mbart")),
    ),
    "vision-bart": ("VisionEncoderDecoderModel", dict(encoder=dict(swin, model_type="swin", image_size=32, depths=[1, 1], num_heads=[2, 2], window_size=4), decoder=dict(bart_decoder, model_type="bart"))),
    "segformer-binary": ("SegformerForSemanticSegmentation", dict(segformer, num_labels=1)),
    "segformer-classes": ("SegformerForImageClassification", dict(segformer, reshape_last_stage=False, hidden_act="relu", num_labels=3)),
    "depth-metric": (
        "DepthAnythingForDepthEstimation",
        dict(
            backbone_config=dict(image, model_type="dinov2", mlp_ratio=1, out_indices=[1, -1], reshape_hidden_states=False, apply_layernorm=False),
            patch_size=4, reassemble_hidden_size=12, reassemble_factors=[2, 0.5], neck_hidden_sizes=[4, 6], fusion_hidden_size=4, head_hidden_size=3, head_in_index=0,
            depth_estimation_type="metric", max_depth=20,
        ),
    ),
    # Images that are not square, in windows that are not square either, the second with padding.
    "rf-detr-windows": (
        "RfDetrForObjectDetection",
        dict(
            backbone_config=dict(
                model_type="rf_detr_dinov2", hidden_size=12, num_hidden_layers=3, num_attention_heads=3, mlp_ratio=2, image_size=16, patch_size=4, num_windows=2,
                use_swiglu_ffn=True, qkv_bias=False, out_indices=[1, 3], apply_layernorm=False, use_mask_token=False, layerscale_value=0.5, drop_path_rate=0.1,
            ),
            d_model=8, hidden_expansion=0.75, c2f_num_blocks=1, activation_function="relu", decoder_ffn_dim=6, decoder_n_points=3, decoder_layers=3,
            decoder_self_attention_heads=4, decoder_cross_attention_heads=2, decoder_activation_function="gelu", num_queries=5, attention_bias=False, group_detr=2,
            num_labels=3, layer_norm_eps=1e-3,
        ),
    ),
    # Patches at the upper and lower edges of a tall image become no queries.
    "rf-detr-body": (
        "RfDetrModel",
        dict(
            backbone_config=dict(
                model_type="rf_detr_dinov2", hidden_size=8, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=1, image_size=4, patch_size=1, num_windows=1, hidden_act="relu",
            ),
            d_model=8, hidden_expansion=0.5, c2f_num_blocks=2, decoder_ffn_dim=6, decoder_n_points=1, decoder_layers=1, decoder_self_attention_heads=1,
            decoder_cross_attention_heads=4, num_queries=4, group_detr=1,
        ),
    ),
    "hubert-classes": ("HubertForSequenceClassification", dict(sound, feat_proj_layer_norm=False, classifier_proj_size=5, num_labels=3)),
    "wav2vec2-weighted": ("Wav2Vec2ForSequenceClassification", dict(sound, do_stable_layer_norm=True, use_weighted_layer_sum=True, classifier_proj_size=5, num_labels=3)),
    "wav2vec2-bert-relative": ("Wav2Vec2BertForCTC", dict(bert_sound, position_embeddings_type="relative", ctc_loss_reduction="mean", hidden_act="gelu")),
    "wav2vec2-bert-classes": (
        "Wav2Vec2BertForSequenceClassification",
        dict(bert_sound, position_embeddings_type="rotary", num_attention_heads=2, use_weighted_layer_sum=True, classifier_proj_size=5, num_labels=3),
    ),
    "wav2vec2-bert-body": ("Wav2Vec2BertModel", dict(bert_sound, position_embeddings_type=None, mask_time_prob=0.05)),
    "moonshine-biases": (
        "MoonshineForConditionalGeneration",
        dict(
            listener, encoder_num_hidden_layers=1, decoder_num_hidden_layers=2, encoder_num_attention_heads=3, decoder_num_attention_heads=3, attention_bias=True,
            tie_word_embeddings=False, encoder_hidden_act="relu", decoder_hidden_act="gelu", pad_head_dim_to_multiple_of=8,
        ),
    ),
    "moonshine-streaming-wide": (
        "MoonshineStreamingForConditionalGeneration",
        dict(
            listener, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, attention_bias=True,
            encoder_config=dict(
                hidden_size=8, intermediate_size=6, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, attention_bias=True, sample_rate=2000,
                sliding_windows=[[2, 3], [1, 0]], initializer_range=0.3,
            ),
        ),
    ),
    "deberta-v1-words": ("DebertaForMaskedLM", dict(base, relative_attention=True, pos_att_type=["c2p"], max_relative_positions=3, type_vocab_size=2)),
    "deberta-v1-blind": ("DebertaForTokenClassification", dict(base, relative_attention=False, pos_att_type=["p2c"], num_labels=3)),
    "deberta-v1-question": ("DebertaForQuestionAnswering", dict(base, relative_attention=True, pos_att_type=["p2c"], position_biased_input=False)),
    "roformer-values": ("RoFormerForSequenceClassification", dict(base, rotary_value=True, embedding_size=7, hidden_act="relu", num_labels=3)),
    "roformer-words": ("RoFormerForMaskedLM", dict(base, num_attention_heads=2, tie_word_embeddings=False)),
    "roformer-question": ("RoFormerForQuestionAnswering", dict(base, num_attention_heads=1, rotary_value=True)),
    "longformer-classes": ("LongformerForSequenceClassification", dict(long, num_labels=3)),
    "longformer-question": ("LongformerForQuestionAnswering", dict(long, attention_window=4)),
    "longformer-token": ("LongformerForTokenClassification", dict(long, num_labels=3, hidden_act="relu")),
    "longformer-wide": ("LongformerForMaskedLM", dict(long, attention_window=18, tie_word_embeddings=False)),
    "longformer-body": ("LongformerModel", dict(long, num_attention_heads=1)),
    "led-words": ("LEDForConditionalGeneration", dict(led, activation_function="relu", tie_word_embeddings=False)),
    "led-question": ("LEDForQuestionAnswering", dict(led, attention_window=[4, 8])),
    "led-body": ("LEDModel", dict(led, attention_window=16)),
    "mobilebert-plain": (
        "MobileBertForSequenceClassification",
        dict(mobile, hidden_size=12, use_bottleneck=False, trigram_input=False, normalization_type="layer_norm", num_labels=3, classifier_activation=False, hidden_act="gelu"),
    ),
    "mobilebert-narrow": ("MobileBertForTokenClassification", dict(mobile, use_bottleneck_attention=True, normalization_type="layer_norm", num_labels=3)),
    "mobilebert-wide": (
        "MobileBertForQuestionAnswering",
        dict(mobile, hidden_size=12, key_query_shared_bottleneck=False, num_feedforward_networks=1, embedding_size=12, trigram_input=False),
    ),
    "mobilebert-words": ("MobileBertForMaskedLM", dict(mobile, tie_word_embeddings=False)),
    "mobilebert-body": ("MobileBertModel", dict(mobile, num_attention_heads=2)),
    "xlnet-words": ("XLNetLMHeadModel", dict(xlnet, attn_type="uni")),
    "xlnet-token": ("XLNetForTokenClassification", dict(xlnet, clamp_len=2, num_labels=3, ff_activation="relu")),
    "xlnet-question": ("XLNetForQuestionAnsweringSimple", dict(xlnet)),
    "xlnet-classes": ("XLNetForSequenceClassification", dict(xlnet, summary_type="mean", summary_use_proj=False, num_labels=3)),
    "xlnet-body": ("XLNetModel", dict(xlnet)),
    "layoutlmv3-classes": ("LayoutLMv3ForSequenceClassification", dict(page, has_spatial_attention_bias=False, num_labels=3)),
    "layoutlmv3-labels": ("LayoutLMv3ForTokenClassification", dict(page, visual_embed=False, num_labels=11, hidden_act="relu")),
    "layoutlmv3-question": ("LayoutLMv3ForQuestionAnswering", dict(page, has_relative_attention_bias=False)),
    "layoutlmv3-body": ("LayoutLMv3Model", dict(page, input_size=14)),
    "clap-fused": (
        "ClapModel",
        dict(
            projection_dim=7, projection_hidden_act="gelu", text_config=clap_text,
            audio_config=dict(
                clap_audio, spec_size=32, num_mel_bins=8, patch_size=[6, 4], patch_stride=4, window_size=2, enable_fusion=True, aff_block_r=2, qkv_bias=False, hidden_act="relu",
                enable_patch_layer_norm=False,
            ),
        ),
    ),
    "clap-sounds": ("ClapAudioModelWithProjection", dict(clap_audio, patch_embed_input_channels=2, projection_dim=5)),
    "clap-sounds-body": ("ClapAudioModel", dict(clap_audio, patch_size=7, depths=[1, 2, 1], num_attention_heads=[1, 2, 1], hidden_size=16, window_size=2, layer_norm_eps=0.1)),
    "clap-texts": ("ClapTextModelWithProjection", dict(clap_text, projection_dim=5, projection_hidden_act="tanh", hidden_act="relu")),
    "clap-texts-body": ("ClapTextModel", dict(clap_text, type_vocab_size=2)),
    "florence2-untied": (
        "Florence2ForConditionalGeneration",
        dict(
            image_token_id=18, tie_word_embeddings=False, text_config=dict(bart_decoder, model_type="bart", decoder_layers=1, activation_function="relu", forced_eos_token_id=None),
            vision_config=dict(davit, patch_prenorm=[True, False], qkv_bias=False, activation_function="relu", window_size=3),
        ),
    ),
    "florence2-body": (
        "Florence2Model",
        dict(
            image_token_id=18, text_config=dict(bart_decoder, model_type="bart", decoder_layers=1, scale_embedding=False),
            vision_config=dict(davit, depths=[2], patch_size=[5], patch_stride=[5], patch_padding=[0], patch_prenorm=[False], embed_dim=[6], num_heads=[3], num_groups=[1]),
        ),
    ),
    "qwen3-5-moe": (
        "Qwen3_5MoeForCausalLM",
        dict(delta, moe_intermediate_size=6, shared_expert_intermediate_size=5, num_experts=4, num_experts_per_tok=2, **rope(rope_type="default", partial_rotary_factor=0.5)),
    ),
    "ernie4-5-moe": ("Ernie4_5_MoeForCausalLM", dict(ernie_moe, moe_num_shared_experts=2, moe_layer_start_index=1)),
    "ernie4-5-moe-biases": (
        "Ernie4_5_MoeForCausalLM",
        dict(ernie_moe, moe_num_shared_experts=0, use_bias=True, moe_layer_start_index=0, moe_layer_end_index=0, moe_norm_min=0.7, tie_word_embeddings=False),
    ),
    # The activation of networks is that of convolutions, too.
    "qwen3-5-gelu": ("Qwen3_5ForCausalLM", dict(delta, hidden_act="gelu", **rope(rope_type="default", partial_rotary_factor=0.5))),
    "mamba2-gelu": ("Mamba2ForCausalLM", dict(common, hidden_size=8, num_hidden_layers=2, num_heads=4, head_dim=4, state_size=4, n_groups=2, hidden_act="gelu", initializer_range=0.3)),
    # Granite 4 without experts.
    "granite-hybrid-dense": (
        "GraniteMoeHybridForCausalLM",
        dict(
            grouped, num_local_experts=0, shared_intermediate_size=7, layer_types=["linear_attention", "full_attention"], mamba_n_heads=4, mamba_d_head=6, mamba_d_state=4, mamba_d_conv=3,
            position_embedding_type="rope", hidden_act="gelu",
        ),
    ),
    "granite-moe": (
        "GraniteMoeForCausalLM",
        dict(grouped, num_hidden_layers=1, num_local_experts=3, num_experts_per_tok=2, residual_multiplier=0.7, embedding_multiplier=1.5, attention_multiplier=0.4, logits_scaling=2.0),
    ),
    "qwen3-moe-question": ("Qwen3MoeForQuestionAnswering", dict(grouped, head_dim=4, moe_intermediate_size=5, num_experts=3, num_experts_per_tok=2, mlp_only_layers=[0])),
    "gte-body": ("GteModel", dict(base, type_vocab_size=2)),
    "t5gemma-classes": ("T5GemmaForSequenceClassification", dict(common, encoder=dict(gemma2), decoder=dict(gemma2, num_hidden_layers=1), num_labels=3)),
    "t5gemma-encoder-labels": ("T5GemmaForTokenClassification", dict(common, encoder=dict(gemma2), decoder=dict(gemma2, num_hidden_layers=1), num_labels=3, is_encoder_decoder=False)),
    "opt-plain": ("OPTForCausalLM", dict(opt, layer_norm_elementwise_affine=False)),
    "hubert-batched": ("HubertForCTC", dict(sound, conv_pos_batch_norm=True, num_conv_pos_embeddings=5, feat_proj_layer_norm=False)),
    # Layers that shorten the frames, and another width after them.
    "wav2vec2-adapter": ("Wav2Vec2ForCTC", dict(sound, conv_dim=[6], conv_kernel=[3], conv_stride=[2], num_feat_extract_layers=1, add_adapter=True, num_adapter_layers=1, output_hidden_size=8)),
    "wav2vec2-bert-adapter": (
        "Wav2Vec2BertForCTC",
        dict(bert_sound, add_adapter=True, use_intermediate_ffn_before_adapter=True, num_adapter_layers=2, output_hidden_size=9, adapter_act="silu", position_embeddings_type=None),
    ),
    # Masks of an image of odd size, the second with padding.
    "detr-panoptic": (
        "DetrForSegmentation",
        dict(
            backbone_config=dict(model_type="resnet", embedding_size=4, hidden_sizes=[4, 4, 6, 6], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage1", "stage2", "stage3", "stage4"]),
            use_timm_backbone=False, backbone=None, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=8, decoder_attention_heads=2, encoder_ffn_dim=6,
            decoder_ffn_dim=6, num_queries=5, num_labels=3, activation_function="gelu",
        ),
    ),
    "umt5": ("UMT5ForConditionalGeneration", dict(t5, num_decoder_layers=1, decoder_start_token_id=0)),
    "ernie-tasks": ("ErnieForTokenClassification", dict(base, num_hidden_layers=1, use_task_id=True, task_type_vocab_size=2, type_vocab_size=2, num_labels=3)),
    "data2vec-text": ("Data2VecTextForMaskedLM", dict(base, num_hidden_layers=1, pad_token_id=1, bos_token_id=0)),
    "convbert-groups": (
        "ConvBertForSequenceClassification",
        dict(base, num_attention_heads=4, hidden_size=16, intermediate_size=8, num_groups=2, head_ratio=2, conv_kernel_size=3, embedding_size=5, hidden_act="relu", num_labels=3),
    ),
    # The factor of embeddings counts in the encoder alone.
    "blenderbot-small": (
        "BlenderbotSmallForConditionalGeneration",
        dict(bart_decoder, encoder_layers=1, decoder_layers=1, decoder_start_token_id=1, forced_eos_token_id=None),
    ),
    "unispeech": ("UniSpeechForCTC", dict(sound, num_hidden_layers=1, do_stable_layer_norm=True)),
    "unispeech-sat": ("UniSpeechSatForSequenceClassification", dict(sound, num_hidden_layers=1, classifier_proj_size=5, num_labels=3)),
    "wavlm": ("WavLMForCTC", dict(sound, num_buckets=8, max_bucket_distance=6)),
    "wavlm-stable": ("WavLMModel", dict(sound, do_stable_layer_norm=True, feat_extract_norm="layer", num_buckets=8, max_bucket_distance=20)),
    "ast-classes": (
        "ASTForAudioClassification",
        dict(image, patch_size=3, frequency_stride=2, time_stride=3, max_length=11, num_mel_bins=8, num_labels=3),
    ),
    "yolos": ("YolosForObjectDetection", dict(image, num_hidden_layers=2, image_size=[8, 12], num_detection_tokens=3, num_labels=2)),
    "resnet-classes": (
        "ResNetForImageClassification",
        dict(embedding_size=4, hidden_sizes=[8, 12], depths=[1, 2], layer_type="bottleneck", downsample_in_bottleneck=True, num_labels=3),
    ),
    "bit-classes": (
        "BitForImageClassification",
        dict(hidden_sizes=[8], depths=[1], layer_type="preactivation", num_groups=4, embedding_size=8, embedding_dynamic_padding=True, num_labels=3),
    ),
    # Maps of a convolutional network and of a Transformer.
    "dpt-hybrid": (
        "DPTForDepthEstimation",
        dict(
            dpt, is_hybrid=True, image_size=16, patch_size=16, backbone_featmap_shape=[1, 8, 1, 1], backbone_out_indices=[0, 1, 0], neck_hidden_sizes=[8, 8, 3],
            reassemble_factors=[1, 1, 2], num_hidden_layers=1,
            backbone_config=dict(
                model_type="bit", global_padding="same", layer_type="bottleneck", depths=[1, 1, 1], out_features=["stage1", "stage2", "stage3"], embedding_dynamic_padding=True,
                hidden_sizes=[8, 8, 8], num_groups=2, embedding_size=8,
            ),
        ),
    ),
    "dpt-labels": (
        "DPTForSemanticSegmentation",
        dict(
            dpt, image_size=8, patch_size=4, backbone_out_indices=[0, 1], neck_hidden_sizes=[3, 4], reassemble_factors=[2, 0.5], readout_type="add", head_in_index=0,
            use_batch_norm_in_fusion_residual=True, num_labels=3,
        ),
    ),
}
# The height and width of images, where they differ from the config's.
RESIZED = {"beit-resized": (16, 12), "dinov3-resized": (12, 24), "swin-odd": (27, 19), "yolos": (17, 12), "resnet-classes": (24, 17), "donut-swin": (32, 24), "convnext-unscaled": (18, 13), "segformer-binary": (19, 14), "segformer-classes": (19, 14), "depth-metric": (16, 20), "rf-detr-windows": (16, 24), "rf-detr-body": (52, 3), "detr-panoptic": (38, 35), "bit-classes": (16, 13), "dpt-labels": (13, 13)}
# The patches of images that are lists of them.
SHAPES = [[2, 3], [1, 5], [4, 2]]


# Places of global tokens, where they are given.
# transformers' gradients are NaN if their number differs between rows.
GLOBALS = {"longformer-token": [[0, 5], [1, 3]], "longformer-wide": [[3], [2]], "led-words": [[0, 3], [0, 4]], "led-question": [[2], [1]]}


def as_in_files(tensors):
    """Gradients of Nomic's BERT by the names of its checkpoints, which transformers changes as it reads them."""
    names = dict(zip(
        ["embeddings.LayerNorm", "layers.", "self_attn.o_proj", "up_proj", "gate_proj", "down_proj", "post_attention_layernorm", "post_mlp_layernorm"],
        ["emb_ln", "encoder.layers.", "attn.out_proj", "fc11", "fc12", "fc2", "norm1", "norm2"],
    ))
    found = {}
    for key, tensor in tensors.items():
        if ".k_proj." in key or ".v_proj." in key:
            continue
        if ".q_proj." in key:
            tensor = torch.cat([tensors[key.replace("q_proj", of)] for of in ("q_proj", "k_proj", "v_proj")])
            key = key.replace("self_attn.q_proj", "attn.Wqkv")
        if key.startswith("grad."):
            for theirs, own in names.items():
                key = key.replace(theirs, own)
        found[key] = tensor
    return found


def gradients_in_files(model, folder):
    """Gradients that are not zero, by the names that save_pretrained gives their parameters."""
    all_tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.data for tensor in all_tensors]
    for tensor in all_tensors:
        tensor.data = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    model.save_pretrained(folder)
    for tensor, value in zip(all_tensors, values):
        tensor.data = value
    return {f"grad.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items() if tensor.any()}


def sounds(cls):
    """Whether the class reads sound."""
    return cls.startswith(("Wav2Vec2", "Hubert", "Moonshine", "Parakeet", "WavLM", "UniSpeech", "AST"))


def sound_inputs(cls, config):
    """Two sounds, the second of them shorter."""
    if cls.startswith("AST"):
        return dict(input_values=torch.randn(2, config.max_length, config.num_mel_bins).double())
    if cls.startswith(("Wav2Vec2Bert", "Parakeet")):
        width = getattr(config, "feature_projection_input_dim", None) or config.encoder_config.num_mel_bins
        mask = torch.ones(2, 27, dtype=torch.long)
        mask[1, 20:] = 0
        return dict(input_features=torch.randn(2, 27, width).double() * mask[:, :, None], attention_mask=mask)
    samples, own = (2100, 1400) if cls.startswith("MoonshineFor") else (240, 190) if cls.startswith("Moonshine") else (61, 45)
    mask = torch.ones(2, samples, dtype=torch.long)
    mask[1, own:] = 0
    return dict(input_values=torch.randn(2, samples).double() * mask, attention_mask=mask)


def make_signal_model(name, cls, model, folder):
    """reference.safetensors of a model of images or sounds. Its loss is what transformers has, or a projection of the outputs."""
    is_sound = sounds(cls)
    if is_sound:
        inputs = sound_inputs(cls, model.config)
    elif cls.startswith("Siglip2"):
        inputs = patch_lists()
    else:
        inputs = dict(pixel_values=torch.randn(2, 3, *(RESIZED.get(name) or (model.config.image_size,) * 2)).double())
    if name == "rf-detr-windows":
        inputs["pixel_mask"] = torch.ones(2, 16, 24, dtype=torch.long)
        inputs["pixel_mask"][1, 12:] = 0
        inputs["pixel_mask"][1, :, 17:] = 0
    if name == "detr-panoptic":
        inputs["pixel_mask"] = torch.ones(2, 38, 35, dtype=torch.long)
        inputs["pixel_mask"][1, 17:] = 0
    if cls.endswith("Classification"):
        inputs["labels"] = torch.randint(0, model.config.num_labels, (len(next(iter(inputs.values()))),))
    elif cls.endswith("SemanticSegmentation"):
        inputs["labels"] = torch.tensor([0, 1, 255])[torch.randint(0, 3, (2, *RESIZED[name]))]
    elif cls.endswith("CTC"):
        inputs["labels"] = torch.tensor([[1, 5, 5], [4, 2, -100]])
    elif cls.startswith("Moonshine"):
        inputs["labels"] = torch.tensor([[3, 5, 5, 9], [4, 2, -100, -100]])
    without_cache = dict(use_cache=False) if cls.startswith("Moonshine") else {}
    output = model(**inputs, output_hidden_states=True, output_attentions=is_sound, **without_cache)
    tensors = dict(inputs, **{key: value for key, value in output.items() if torch.is_tensor(value) and key != "extract_features"})
    if "loss" not in tensors:
        projected = ("last_hidden_state", "pooler_output", "predicted_depth", "logits", "pred_boxes", "pred_masks", "enc_outputs_class", "enc_outputs_coord_logits")
        projections = {key: torch.randn_like(output[key]) for key in projected if key in output}
        if "pixel_attention_mask" in inputs:
            projections = {key: value * inputs["pixel_attention_mask"][:, :, None] if value.ndim == 3 else value for key, value in projections.items()}
        if "attention_mask" in inputs:  # the mask of frames, from the keys that the first query attends to
            projections = {key: value * (output.attentions[0][:, 0, 0] > 0)[:, :, None] for key, value in projections.items()}
        tensors.update({f"projection.{key}": value for key, value in projections.items()})
        tensors["loss"] = sum((output[key] * value).sum() for key, value in projections.items())
    tensors["loss"].backward()
    for key, states in output.items():
        if key.endswith(("hidden_states", "attentions")) and not torch.is_tensor(states):
            tensors.update({f"{key}.{i}": state for i, state in enumerate(states or [])})
    if cls.startswith("WavLM"):  # the means of all heads
        tensors = {key: value for key, value in tensors.items() if not key.startswith("attentions")}
    if "pixel_attention_mask" in inputs:  # padding is not compared
        for key in tensors:
            if "hidden_state" in key:
                tensors[key] = tensors[key] * inputs["pixel_attention_mask"][:, :, None]
    with tempfile.TemporaryDirectory() as temporary:
        tensors.update(gradients_in_files(model, pathlib.Path(temporary)))
    stored = {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()}
    save_file(stored, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps({"class": cls}))


def make_clap(cls, model, folder):
    """reference.safetensors of CLAP or of one of its encoders. Three texts and sounds belong together."""
    inputs = {}
    if "Audio" not in cls:
        ids = torch.randint(3, VOCABULARY, (3, TIME))
        mask = torch.ones_like(ids)
        mask[1, -2:] = 0
        ids[mask == 0] = 0
        inputs.update(input_ids=ids, attention_mask=mask)
    if "Text" not in cls:
        config = getattr(model.config, "audio_config", model.config)
        whole = config.spec_size * (config.spec_size // config.num_mel_bins)
        if config.enable_fusion:
            inputs.update(input_features=torch.randn(3, 4, 50, config.num_mel_bins).double(), is_longer=torch.tensor([[1], [0], [1]]))
        else:
            inputs.update(input_features=torch.randn(3, config.patch_embed_input_channels, whole, config.num_mel_bins).double())
    loss = dict(return_loss=True) if cls == "ClapModel" else {}
    output = model(**inputs, **loss, output_hidden_states=True, output_attentions=True)
    tensors = dict(inputs, **{key: value for key, value in output.items() if torch.is_tensor(value)})
    if "loss" not in tensors:
        projections = {key: torch.randn_like(value) for key, value in output.items() if torch.is_tensor(value)}
        if "attention_mask" in inputs:
            projections["last_hidden_state"] *= inputs["attention_mask"][:, :, None]
        tensors.update({f"projection.{key}": value for key, value in projections.items()})
        tensors["loss"] = sum((output[key] * value).sum() for key, value in projections.items())
    tensors["loss"].backward()
    for key, states in output.items():
        if key in ("hidden_states", "attentions"):
            tensors.update({f"{key}.{i}": state for i, state in enumerate(states or [])})
    with tempfile.TemporaryDirectory() as temporary:
        tensors.update(gradients_in_files(model, pathlib.Path(temporary)))
    stored = {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()}
    save_file(stored, folder / "reference.safetensors")
    (folder / "reference.json").write_text(json.dumps({"class": cls}))


def patch_lists():
    """Images as lists of patches with their own rows and columns."""
    mask = torch.zeros(len(SHAPES), 9, dtype=torch.long)
    for row, (height, width) in zip(mask, SHAPES):
        row[: height * width] = 1
    return dict(pixel_values=torch.randn(len(SHAPES), 9, 12).double() * mask[:, :, None], pixel_attention_mask=mask, spatial_shapes=torch.tensor(SHAPES))


def make_captioner(cls, model, folder):
    """reference.safetensors and reference.json of a model that writes about images."""
    size = model.config.encoder.image_size
    images = torch.randn(2, 3, *(size if isinstance(size, list) else (size, size))).double()
    labels = torch.randint(3, VOCABULARY, (2, 6))
    output = model(pixel_values=images, labels=labels, output_hidden_states=True, output_attentions=True, use_cache=False)
    output.loss.backward()
    tensors = dict(pixel_values=images, labels=labels, **{key: value for key, value in output.items() if torch.is_tensor(value)})
    for key, states in output.items():
        if key.endswith(("hidden_states", "attentions")):
            tensors.update({f"{key}.{i}": state for i, state in enumerate(states)})
    with tempfile.TemporaryDirectory() as temporary:
        tensors.update(gradients_in_files(model, pathlib.Path(temporary)))
    stored = {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()}
    save_file(stored, folder / "reference.safetensors")
    ids = torch.full((2, 1), 2)
    for _ in range(NEW):
        logits = model(pixel_values=images, decoder_input_ids=ids, use_cache=False).logits
        ids = torch.cat([ids, logits[:, -1].argmax(-1, keepdim=True)], 1)
    (folder / "reference.json").write_text(json.dumps({"class": cls, "greedy": ids.tolist()}))


def make_florence(name, cls, model, folder):
    """reference.safetensors and reference.json of Florence-2, with images of odd sizes and prompts of two lengths."""
    images = torch.randn(2, 3, *((17, 26) if name.endswith("untied") else (11, 19))).double()
    count = model.get_image_features(images).pooler_output.shape[1]
    ids = torch.randint(3, 18, (2, count + 4))
    ids[:, :count] = model.config.image_token_id
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    ids[mask == 0] = 0
    inputs = dict(pixel_values=images, input_ids=ids, attention_mask=mask)
    is_body = cls.endswith("Model")
    targets = dict(decoder_input_ids=torch.randint(3, 18, (2, 4))) if is_body else dict(labels=torch.tensor([[5, 9, 3, 2], [7, 2, -100, -100]]))
    output = model(**inputs, **targets, output_hidden_states=True, output_attentions=True, use_cache=False)
    tensors = dict(inputs, **targets, **{key: value for key, value in output.items() if torch.is_tensor(value)})
    if is_body:
        tensors["projection.last_hidden_state"] = torch.randn_like(output.last_hidden_state)
        tensors["loss"] = (output.last_hidden_state * tensors["projection.last_hidden_state"]).sum()
    tensors["loss"].backward()
    for key, states in output.items():
        if key.endswith(("hidden_states", "attentions")) and key != "image_hidden_states":
            tensors.update({f"{key}.{i}": state for i, state in enumerate(states)})
    tensors.pop("image_hidden_states", None)
    with tempfile.TemporaryDirectory() as temporary:
        tensors.update(gradients_in_files(model, pathlib.Path(temporary)))
    stored = {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()}
    save_file(stored, folder / "reference.safetensors")
    written = {}
    if not is_body:
        found = torch.full((2, 1), model.config.text_config.decoder_start_token_id)
        for _ in range(NEW):
            logits = model(**inputs, decoder_input_ids=found, use_cache=False).logits
            found = torch.cat([found, logits[:, -1].argmax(-1, keepdim=True)], 1)
        written = dict(greedy=found.tolist())
    (folder / "reference.json").write_text(json.dumps({"class": cls, **written}))


def targets_of(config, cls, ids, mask):
    if cls.endswith("Model") and not cls.endswith("HeadModel"):
        return {}
    if "Question" in cls:
        return dict(start_positions=torch.tensor([1, 6]), end_positions=torch.tensor([2, 8]))
    if "Sequence" in cls:
        return dict(labels=torch.randn(len(ids)).double() if config.num_labels == 1 else torch.randint(0, config.num_labels, (len(ids),)))
    targets = torch.randint(0, 3, ids.shape) if "Token" in cls else ids
    return dict(labels=torch.where(mask == 1, targets, -100))


def renewed(model):
    """Without what it remembers of the longest text, by which it turns shorter ones, too."""
    for module in model.modules():
        if getattr(module, "rope_type", None) == "dynamic":
            module.max_seq_len_cached = module.original_max_seq_len
            module.inv_freq = module.original_inv_freq
    return model


def written(model, ids):
    greedy, beams = [], []
    for row in (0, 1):
        prompt = ids[row : row + 1, :6]
        grows = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type") == "dynamic"
        if prompt.shape[1] + NEW > getattr(model.config, "max_position_embeddings", 99) and not grows:
            return {}
        same = dict(attention_mask=torch.ones_like(prompt), max_new_tokens=NEW, eos_token_id=None, pad_token_id=0, do_sample=False)
        if model.config.model_type == "led":
            same["global_attention_mask"] = (torch.arange(prompt.shape[1])[None] == 0).long()
        found = renewed(model).generate(prompt, **same)
        greedy.append(dict(prompt=prompt[0].tolist(), ids=found[0].tolist()))
        found = renewed(model).generate(
            prompt, num_beams=4, length_penalty=1.0, early_stopping=False, return_dict_in_generate=True, output_scores=True, **same
        )
        beams.append(dict(prompt=prompt[0].tolist(), ids=found.sequences[0].tolist(), score=float(found.sequences_scores[0])))
    return dict(greedy=greedy, beam4=beams)


for seed, (name, (cls, settings)) in enumerate(CASES.items()):
    if wanted and name not in wanted:
        continue
    torch.manual_seed(seed)
    kind = getattr(transformers, cls)
    if cls.startswith("VisionEncoderDecoder"):
        parts = [transformers.AutoConfig.for_model(**settings[side]) for side in ("encoder", "decoder")]
        config = kind.config_class.from_encoder_decoder_configs(*parts, pad_token_id=0, eos_token_id=2, decoder_start_token_id=2)
    else:
        config = kind.config_class(**settings)
    model = kind._from_config(config, attn_implementation="eager").float()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # biases and norms, too
    if cls.startswith(("Clap", "Hubert", "ResNet", "DPT")):
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean += 0.3 * torch.randn_like(module.running_mean)
                module.running_var *= 0.5 + torch.rand_like(module.running_var)
    model.tie_weights()
    folder = HERE / name
    if name.endswith("half"):
        model.half().save_pretrained(folder)
        model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    else:
        model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the others have no float64
    model = model.double().eval()
    if cls.startswith("VisionEncoderDecoder"):
        make_captioner(cls, model, folder)
        continue
    if cls.startswith("Clap"):
        make_clap(cls, model, folder)
        continue
    if cls.startswith("Florence2"):
        make_florence(name, cls, model, folder)
        continue
    if sounds(cls) or cls.startswith(("ResNet", "Bit")) or not {"image_size", "vision_config", "num_patches", "sr_ratios", "backbone_config"}.isdisjoint(settings):
        make_signal_model(name, cls, model, folder)
        continue
    ids = torch.randint(3, VOCABULARY, (2, TIME))
    if cls == "LongformerForQuestionAnswering":
        ids[:, [2, 4, 6]] = model.config.sep_token_id
    mask = torch.ones_like(ids)
    mask[1, -2:] = 0
    ids[mask == 0] = 0
    inputs = dict(input_ids=ids, attention_mask=mask, **targets_of(model.config, cls, ids, mask))
    if settings.get("attn_type") == "uni":  # transformers 5.24 fails with both masks
        del inputs["attention_mask"]
    if "coordinate_size" in settings:
        corners = torch.randint(0, 500, (2, TIME, 2))
        inputs["bbox"] = torch.cat([corners, corners + torch.randint(0, 500, (2, TIME, 2))], -1) * mask[:, :, None]
        if settings.get("visual_embed", True):
            inputs["pixel_values"] = torch.randn(2, 3, settings["input_size"], settings["input_size"]).double()
    if name in GLOBALS:
        inputs["global_attention_mask"] = torch.tensor([[int(i in places) for i in range(TIME)] for places in GLOBALS[name]])
    if model.config.is_encoder_decoder and "labels" not in inputs:
        inputs["decoder_input_ids"] = torch.randint(3, VOCABULARY, (2, 4))
    without_cache = {} if cls.startswith(("T5", "MT5", "UMT5", "XLNet", "Longformer", "LayoutLMv3")) else dict(use_cache=False)
    output = model(**inputs, output_hidden_states=True, output_attentions=True, **without_cache)
    tensors = dict(inputs, **{key: value for key, value in output.items() if torch.is_tensor(value)})
    if "loss" in tensors:
        output.loss.backward()
    for key, states in output.items():
        if key.endswith(("hidden_states", "attentions")) and "global" not in key:
            tensors.update({f"{key}.{i}": state for i, state in enumerate(states)})
    tensors.update({f"grad.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None})
    if any(tensor.is_floating_point() and tensor.isnan().any() for tensor in tensors.values()):
        sys.exit(f"{name}: transformers gives NaN")
    # In files, the encoder's text model has no name of its own, and each expert has one.
    if cls.startswith(("T5Gemma2", "Mixtral")) or "Moe" in cls or "mamba" in str(settings):
        with tempfile.TemporaryDirectory() as temporary:
            tensors = {key: value for key, value in tensors.items() if not key.startswith("grad.")} | gradients_in_files(model, pathlib.Path(temporary))
    if "Nomic" in cls:
        tensors = as_in_files(tensors)
    stored = {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()}
    save_file(stored, folder / "reference.safetensors")
    generated = written(model, ids) if model.can_generate() and "XLNet" not in cls else {}
    (folder / "reference.json").write_text(json.dumps({"class": cls, **generated}))
