#!/usr/bin/env python3
"""Writes the folders qwen2_vl and qwen2_5_vl beside this file: tiny random models, and what transformers computes.

  pip install torch transformers && python3 make_qwen2_vl.py

Float64 arithmetic, stored as float32. config.legacy.json has the form of Qwen's own files, with the language model's settings at the top.
"""
import json
import pathlib
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
IMAGE, NEW = 17, 12
common = dict(vocab_size=19, bos_token_id=1, eos_token_id=2, pad_token_id=0, max_position_embeddings=64, initializer_range=0.3)
shared = dict(depth=2, num_heads=2, patch_size=2, initializer_range=0.3)
rope = lambda *sections: dict(rope_type="default", rope_theta=100.0, mrope_section=list(sections))
CASES = {
    "qwen2_vl": (
        "Qwen2VLForConditionalGeneration",
        dict(
            text_config=dict(
                common, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=6, rope_parameters=rope(1, 2, 1)),
            vision_config=dict(shared, embed_dim=8, hidden_size=16, mlp_ratio=1), tie_word_embeddings=False,
        ),
        [[6, 2], [1]], [[1, 4, 6], [1, 2, 4], [1, 2, 2]],
    ),
    # Windows of 2 × 2 blocks, which do not divide an image of 3 × 5 blocks.
    "qwen2_5_vl": (
        "Qwen2_5_VLForConditionalGeneration",
        dict(
            text_config=dict(
                common, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1, intermediate_size=6, rope_parameters=rope(1, 2, 1)),
            vision_config=dict(shared, hidden_size=8, intermediate_size=6, out_hidden_size=8, window_size=8, fullatt_block_indexes=[1]),
            tie_word_embeddings=True,
        ),
        [[15], [2]], [[1, 6, 10], [1, 2, 4]],
    ),
}


def flat(config):
    """The config as versions before 5 wrote it."""
    text = {key: value for key, value in config["text_config"].items() if key not in ("model_type", "layer_types")}
    parameters = text.pop("rope_parameters")
    vision = {key: value for key, value in config["vision_config"].items() if key not in ("rope_parameters", "dtype", "in_channels")}
    return dict(
        {key: value for key, value in config.items() if key not in ("text_config", "dtype")}, **text, torch_dtype="float32",
        rope_theta=parameters["rope_theta"], rope_scaling=dict(type="mrope", mrope_section=parameters["mrope_section"]),
        vision_config=dict(vision, model_type=config["model_type"], in_chans=3),
    )


for seed, (name, (cls, settings, counts, grids)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    kind = getattr(transformers, cls)
    model = kind._from_config(kind.config_class(**settings, image_token_id=IMAGE), attn_implementation="eager").float()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.tie_weights()
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if name == "qwen2_vl":
        legacy = flat(json.loads((folder / "config.json").read_text()))
        (folder / "config.legacy.json").write_text(json.dumps(legacy, indent=1) + "\n")
    model = model.double().eval()
    rows = [[3, *[part for n in row for part in (*[IMAGE] * n, 5, 6)], 7, 8] for row in counts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    grid = torch.tensor(grids)
    pixels = torch.randn(int(grid.prod(-1).sum()), 24)
    images = dict(pixel_values=pixels.double(), image_grid_thw=grid)
    inputs = dict(
        input_ids=ids, attention_mask=mask, labels=torch.where((mask == 1) & (ids != IMAGE), ids, -100), mm_token_type_ids=(ids == IMAGE).long(), **images)
    output = model(**inputs, output_hidden_states=True, output_attentions=True, use_cache=False)
    output.loss.backward()
    tensors = dict(inputs, logits=output.logits, loss=output.loss)
    for key in ("hidden_states", "attentions"):
        tensors.update({f"{key}.{i}": state for i, state in enumerate(output[key]) if state is not None})
    values = [parameter.data for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    with tempfile.TemporaryDirectory() as gradients:
        model.save_pretrained(gradients)
        tensors.update({f"grad.{key}": t for key, t in load_file(f"{gradients}/model.safetensors").items() if t.any()})
    for parameter, value in zip(model.parameters(), values):
        parameter.data = value
    save_file(
        {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()},
        folder / "reference.safetensors",
    )

    def written(index):
        """Greedy tokens of one row, each from a whole pass, and how far the second best token was at the closest step."""
        before = sum(map(len, counts[:index]))
        own = grid[before : before + len(counts[index])]
        first = int(grid[:before].prod(-1).sum())
        given = dict(pixel_values=images["pixel_values"][first : first + int(own.prod(-1).sum())], image_grid_thw=own)
        tokens, margin = list(rows[index]), float("inf")
        with torch.no_grad():
            for _ in range(NEW):
                row = torch.tensor([tokens])
                best = model(input_ids=row, mm_token_type_ids=(row == IMAGE).long(), **given, use_cache=False).logits[0, -1].topk(2)
                margin = min(margin, float(best.values[0] - best.values[1]))
                tokens.append(int(best.indices[0]))
        return dict(prompt=rows[index], ids=tokens, margin=round(margin, 6))

    content = {"class": cls, "torch": torch.__version__, "transformers": transformers.__version__, "greedy": [written(i) for i in range(len(rows))]}
    (folder / "reference.json").write_text(json.dumps(content) + "\n")
    print(name, output.loss.item(), [each["margin"] for each in content["greedy"]])
