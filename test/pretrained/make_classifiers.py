#!/usr/bin/env python3
"""Writes classifiers.json beside this file: the token that transformers' classifiers of causal models read, by padding and mask.

  pip install torch transformers && python3 make_classifiers.py && npx biome check --write classifiers.json

Weights come from the formula of variant.ts. Results are float64's.
"""
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent
SIZES = dict(
    vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=4, intermediate_size=6, max_position_embeddings=16, bos_token_id=1,
    eos_token_id=2, num_labels=2,
)
MODELS = {
    "Qwen3ForSequenceClassification": SIZES,
    "LlamaForSequenceClassification": SIZES,
    "GemmaForSequenceClassification": SIZES,
    "GPT2ForSequenceClassification": dict(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=16, n_inner=6, bos_token_id=1, eos_token_id=2, num_labels=2),
}
TEXT, RIGHT, LEFT = [3, 4, 5, 6, 7], [1, 1, 1, 0, 0], [0, 0, 1, 1, 1]
ALL = [1] * 5
# name: (padding id, ids, mask)
INPUTS = {
    "padding after the text": (0, [[3, 4, 5, 0, 0], TEXT], [RIGHT, ALL]),
    "padding before the text": (0, [[0, 0, 3, 4, 5], TEXT], [LEFT, ALL]),
    "the padding id in the text": (0, [[3, 0, 4, 0, 0], [3, 0, 5, 6, 0]], [ALL, ALL]),
    "another id after the text": (0, [[3, 4, 5, 8, 9], TEXT], [RIGHT, ALL]),
    "no mask": (0, [[3, 4, 5, 0, 0], TEXT], None),
    "no padding id": (None, [TEXT], None),
    "no padding id, and a mask": (None, [TEXT], [RIGHT]),
}


def weights(index, count):
    state, values = index * 7919 + 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) / 65536 - 0.5)
    return torch.tensor(values, dtype=torch.float64)


cases = []
for name, settings in MODELS.items():
    kind = getattr(transformers, name)
    config = kind.config_class(**settings, pad_token_id=0)
    config._attn_implementation = "eager"
    model = kind(config).double().eval()
    state = model.state_dict()
    names = sorted(state)
    model.load_state_dict({key: weights(i, state[key].numel()).reshape(state[key].shape) for i, key in enumerate(names)})
    rows = []
    for label, (pad, ids, mask) in INPUTS.items():
        model.config.pad_token_id = pad
        given = dict(input_ids=ids) | (dict(attention_mask=mask) if mask else {})
        with torch.no_grad():
            logits = model(**{key: torch.tensor(value) for key, value in given.items()}).logits
        rows.append(dict(label=label, pad=pad, **given, logits=[round(x, 6) for x in logits.flatten().tolist()]))
    written = dict(settings, model_type=config.model_type, architectures=[name])
    written.pop("num_labels")  # the default is 2
    cases.append(dict(name=name, config=written, shapes={key: list(state[key].shape) for key in names}, rows=rows))
(HERE / "classifiers.json").write_text(json.dumps(cases))
