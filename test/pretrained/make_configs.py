#!/usr/bin/env python3
"""Writes configs.json beside this file: what transformers makes of config.json files.

  pip install torch transformers && python3 make_configs.py [../data/families] && npx biome check --write .

For each the file, and what `from_dict` adds or changes; for those that rotate, frequencies and scale.
"""
import copy
import glob
import json
import pathlib
import sys

import torch  # noqa: F401
from transformers import CONFIG_MAPPING
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

# Not of the architecture, or not of configs any more.
IGNORED = {
    "transformers_version", "architectures", "return_dict", "output_hidden_states", "output_attentions", "chunk_size_feed_forward", "problem_type",
    "is_encoder_decoder", "is_decoder", "add_cross_attention", "use_cache", "initializer_range", "initializer_factor", "init_std",
    "initializer_cutoff_factor", "pretraining_tp", "sparse_prediction", "sparse_pred_ignore_index", "deterministic_flash_attn", "encoder_stride",
    "reshape_hidden_states", "apply_spec_augment", "classifier_proj_size", "use_weighted_layer_sum", "reorder_and_upcast_attn", "name_or_path",
    "task_specific_params", "stage_names", "out_features", "out_indices", "legacy", "vocab_size", "decoder_vocab_size", "sinusoidal_pos_embds",
    "use_bidirectional_attention", "_sliding_window_pattern", "id2label", "label2id", "tie_encoder_decoder", "text_config_dict", "vision_config_dict",
    "sliding_window_pattern", "_name_or_path",
    "n_inner",  # GPT-2's null, which its model takes for 4 · n_embd, as we do here
}


def known(name):
    return name not in IGNORED and not name.startswith(("mask_", "summary_"))


def changed(given, made):
    out = {}
    for name, value in made.items():
        if isinstance(value, dict) and name.endswith("_config"):
            out[name] = changed(given.get(name, {}), value)
        elif name == "rope_parameters" and "type" in value:  # the old name of rope_type, which stays beside it
            out[name] = {key: inner for key, inner in value.items() if key != "type"}
        elif known(name) and (name not in given or given[name] != value):
            out[name] = value
    return out


def case(name, given):
    made = CONFIG_MAPPING[given["model_type"]].from_dict(copy.deepcopy(given))
    return {"name": name, "given": given, "expected": changed(given, json.loads(json.dumps(made.to_dict(), default=str)))}


cases = []
for model in sorted("bert distilbert roberta xlm-roberta mpnet albert electra modernbert nomic_bert deberta deberta-v2 gpt2 gpt_neox opt llama mistral qwen2 qwen3 gemma "
                    "gemma2 gemma3_text phi3 olmo2 smollm3 t5 mt5 bart mbart marian m2m_100 whisper vit dinov2 clip siglip".split()):
    cases.append(case(f"{model} of nothing", {"model_type": model}))
for file in sorted(glob.glob((sys.argv[1] if len(sys.argv) > 1 else "../data/families") + "/*/config*.json")):
    path = pathlib.Path(file)
    cases.append(case(f"{path.parent.name}/{path.name}", json.loads(path.read_text())))
small = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 3}
cases += [
    case("Llama 1", {"model_type": "llama", **small, "torch_dtype": "float16", "rms_norm_eps": 1e-5}),
    case("DeBERTa-v3", {"model_type": "deberta-v2", **small, "pos_att_type": "p2c|c2p", "relative_attention": True, "position_buckets": 256}),
    case("T5 1.1", {"model_type": "t5", "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_layers": 3}),
    case("SigLIP's file", {"model_type": "siglip", "text_config": {"model_type": "siglip_text_model"}, "vision_config": {"model_type": "siglip_vision_model", "image_size": 384}}),
    case("Qwen2 with windows", {"model_type": "qwen2", **small, "use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}),
    case("SmolLM3 with windows", {"model_type": "smollm3", **small, "num_hidden_layers": 9, "use_sliding_window": True, "sliding_window": 8, "no_rope_layer_interval": 3}),
    case("Mistral without a window", {"model_type": "mistral", **small, "sliding_window": None, "head_dim": 8}),
    case("Gemma 3 of before", {"model_type": "gemma3_text", **small, "sliding_window_pattern": 2, "rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": {"factor": 4.0, "rope_type": "linear"}}),
    case("Phi-3 long", {"model_type": "phi3", **small, "max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_scaling": {"type": "longrope", "short_factor": [1.0 + i / 8 for i in range(8)], "long_factor": [1.0 + i for i in range(8)]}}),
]

rope = []
for name, extra in {
    "default": {}, "theta": {"rope_theta": 5e5}, "linear": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "dynamic": {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}, "max_position_embeddings": 64},
    "llama3": {"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}},
    "yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}},
    "yarn exact": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "truncate": False, "beta_fast": 16.0, "beta_slow": 2.0, "mscale": 1.0, "mscale_all_dim": 0.5}},
    "yarn scaled": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512, "attention_factor": 0.75}},
    "longrope": {"model_type": "phi3", "max_position_embeddings": 8192, "original_max_position_embeddings": 1024, "rope_scaling": {"type": "longrope", "short_factor": [1.0 + i / 16 for i in range(16)], "long_factor": [1.0 + i for i in range(16)]}},
    "partial": {"model_type": "gpt_neox", "rotary_pct": 0.25},
    "an odd part, linear": {"model_type": "gpt_neox", "rotary_pct": 0.22, "rotary_emb_base": 500, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "an odd part, dynamic": {"model_type": "gpt_neox", "rotary_pct": 0.22, "rope_theta": 5e5, "rope_scaling": {"type": "dynamic", "factor": 4.0}},
    "an odd part, longrope": {"model_type": "gpt_neox", "rotary_pct": 0.22, "rope_scaling": {"type": "longrope", "original_max_position_embeddings": 1024, "factor": 2.0, "short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": [1.0, 2.0, 3.0, 4.0]}},
}.items():
    given = {"model_type": "llama", "hidden_size": 128, "num_attention_heads": 4, "max_position_embeddings": 2048, **extra}
    config = CONFIG_MAPPING[given["model_type"]].from_dict(copy.deepcopy(given))
    kind = config.rope_parameters["rope_type"]
    for length in ([None] if kind not in ("dynamic", "longrope") else [None, 4096]):
        if kind == "default":
            dim = int(32 * config.rope_parameters.get("partial_rotary_factor", 1.0))
            frequencies, scale = 1 / config.rope_parameters["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim), 1.0
        else:
            frequencies, scale = ROPE_INIT_FUNCTIONS[kind](config, seq_len=length)
        rope.append({"name": f"{name}, {length or 'short'}", "given": given, "length": length or 0, "frequencies": [float(f"{f:.9g}") for f in frequencies.tolist()], "scale": scale})

path = pathlib.Path(__file__).with_name("configs.json")
lines = [json.dumps(case) for case in cases]
path.write_text('{"cases": [\n' + ",\n".join(lines) + '\n],\n"rope": [\n' + ",\n".join(json.dumps(r) for r in rope) + "\n]}\n")
