#!/usr/bin/env python3
"""Writes conditions.json beside this file: how far results of test/data/families move if float32 rounds once more.

  pip install torch transformers && python3 make_conditions.py

In float64 each weight is multiplied by 1 ± 2^-24, signs drawn at random, eight times. What moves by more is nothing that float32 can
compute better, as each product of the first layer is rounded so. Written are the largest changes of an output and of a gradient, of
the largest value of its tensor, for models where they are above a quarter of what reference.ts allows others.
"""
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
REFERENCE = HERE.parent / "data" / "families"
ALLOWED = dict(outputs=2e-4, gradients=1e-3)
DRAWS = 8


def results(model, inputs):
    model.zero_grad()
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    values = {}
    for key, value in output.items():
        if isinstance(value, tuple):
            values.update({f"{key}.{i}": each for i, each in enumerate(value) if torch.is_tensor(each)})
        elif torch.is_tensor(value):
            values[key] = value
    outputs = {key: value.detach().clone() for key, value in values.items()}
    if output.get("loss") is None:
        return outputs, {}
    output.loss.backward()
    return outputs, {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}


def change(now, before, floor):
    return max(((now[key] - value).abs().max() / max(value.abs().max(), floor)).item() for key, value in before.items())


conditions = {}
for folder in sorted(path for path in REFERENCE.iterdir() if path.is_dir()):
    kind = getattr(transformers, json.loads((folder / "reference.json").read_text())["class"])
    model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    stored = load_file(folder / "reference.safetensors")
    names = ["input_ids", "attention_mask", "token_type_ids", "decoder_input_ids", "labels", "start_positions", "end_positions", "pixel_values", "input_features"]
    inputs = {name: stored[name].double() if stored[name].is_floating_point() else stored[name].long() for name in names if name in stored}
    for name, value in model.named_buffers():
        if value.is_floating_point():
            value.data = value.data.double()
    if folder.name == "clip" or folder.name == "siglip":
        inputs["return_loss"] = True
    before = results(model, inputs)
    most = max([value.abs().max().item() for value in before[1].values()], default=0)
    weights = {key: p.data.clone() for key, p in model.named_parameters()}
    worst = dict(outputs=0.0, gradients=0.0)
    torch.manual_seed(0)
    for _ in range(DRAWS):
        for key, p in model.named_parameters():
            p.data = weights[key] * (1 + 2.0**-24 * (2 * torch.randint(0, 2, p.shape).double() - 1))
        now = results(model, inputs)
        worst["outputs"] = max(worst["outputs"], change(now[0], before[0], 0))
        if before[1]:
            # Gradients that are zero but for rounding, of keys' biases, are compared with the largest of all: see reference.ts.
            worst["gradients"] = max(worst["gradients"], change(now[1], before[1], 1e-3 * most))
    print(folder.name, worst, flush=True)
    if any(worst[part] > ALLOWED[part] / 4 for part in worst):
        conditions[folder.name] = {part: float(f"{value:.1e}") for part, value in worst.items()}
(HERE / "conditions.json").write_text(json.dumps(conditions, indent=2) + "\n")
