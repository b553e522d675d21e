#!/usr/bin/env python3
"""Writes rope.json beside this file: the frequencies and the factor that transformers computes for RoPE settings in all
spellings of config.json, for texts below and above the original length.

  pip install torch transformers && python3 make_rope.py && npx biome check --write rope.json
"""
import json
import pathlib
import random

import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

choose = random.Random(49)
LENGTHS = [5, 40, 100]


def settings(kind, head):
    share = choose.choice([None, None, 0.5, 0.75])
    pairs = (int(head * (share or 1)) + 1) // 2
    rope = {"factor": choose.choice([2.0, 4.0, 1.5, 8])}
    if share:
        rope["partial_rotary_factor"] = share
    if kind == "llama3":
        rope |= dict(low_freq_factor=1.0, high_freq_factor=choose.choice([2.0, 4.0]), original_max_position_embeddings=32)
    if kind == "yarn":
        extra = dict(
            beta_fast=choose.choice([32, 8]), beta_slow=choose.choice([1, 2.5]), attention_factor=choose.choice([0.8, 1.3]),
            mscale=choose.choice([0.7, 1.0]), mscale_all_dim=choose.choice([0.5, 1.0]), truncate=choose.choice([True, False, None]),
            original_max_position_embeddings=choose.choice([8, 16, 32]),
        )
        rope |= {name: value for name, value in extra.items() if choose.random() < 0.6}
        if choose.random() < 0.2:
            rope["factor"] = None
    if kind == "longrope":
        rope |= dict(
            short_factor=[round(choose.uniform(1, 2), 2) for _ in range(pairs)],
            long_factor=[round(choose.uniform(1, 6), 2) for _ in range(pairs)],
            original_max_position_embeddings=choose.choice([8, 16]),
        )
        if choose.random() < 0.4:
            rope["attention_factor"] = 1.25
        if choose.random() < 0.5:
            rope.pop("factor")
    return rope


def config_of(kind):
    head = choose.choice([4, 6, 8, 12, 16])
    rope, theta = settings(kind, head), choose.choice([100.0, 10000.0, 1e6])
    config = dict(
        model_type="llama", hidden_size=2 * head, num_attention_heads=2, num_hidden_layers=1, intermediate_size=4, vocab_size=8,
        max_position_embeddings=choose.choice([16, 64]),
    )
    spelling = choose.choice(["rope_parameters", "rope_scaling", "older"])
    if spelling == "older":
        share = rope.pop("partial_rotary_factor", None)
        config |= dict(rope_theta=theta, rope_scaling={"type": kind, **rope})
        if share:
            config["partial_rotary_factor"] = share
    elif spelling == "rope_scaling":
        config |= dict(rope_theta=theta, rope_scaling={"rope_type": kind, **rope})
    else:
        config["rope_parameters"] = {"rope_type": kind, "rope_theta": theta, **rope}
    return config


cases = []
kinds = ["linear", "dynamic", "yarn", "yarn", "yarn", "llama3", "longrope"]
# YaRN over three features, and an empty rope_scaling beside rope_parameters.
fixed = [
    dict(rope_theta=100.0, rope_scaling=dict(type="yarn", factor=4.0, original_max_position_embeddings=16), partial_rotary_factor=0.75),
    dict(rope_scaling={}, rope_parameters=dict(rope_type="linear", rope_theta=100.0, factor=3.0)),
]
base = dict(model_type="llama", hidden_size=8, num_attention_heads=2, num_hidden_layers=1, intermediate_size=4, vocab_size=8)
configs = [{**base, **each, "max_position_embeddings": 64} for each in fixed] + [config_of(kinds[i % len(kinds)]) for i in range(42)]
for given in configs:
    own = transformers.LlamaConfig(**{name: value for name, value in json.loads(json.dumps(given)).items() if name != "model_type"})
    kind = own.rope_parameters["rope_type"]
    results = []
    try:
        for length in LENGTHS:
            # Only these two depend on the length of the text.
            frequencies, factor = ROPE_INIT_FUNCTIONS[kind](own, None, seq_len=length if kind in ("dynamic", "longrope") else None)
            results.append(dict(length=length, frequencies=[float(f"{each:.6g}") for each in frequencies.tolist()], factor=factor))
    except (RuntimeError, ZeroDivisionError):  # transformers has no frequencies for these settings
        results = None
    cases.append(dict(config=given, results=results))
print(sum(each["results"] is None for each in cases), "refused of", len(cases))
(pathlib.Path(__file__).parent / "rope.json").write_text(json.dumps(cases))
