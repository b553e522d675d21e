"""Writes detr-maps.json: the attention maps that transformers 5.24 computes for three detectors of test/data/families.

    python3 test/pretrained/make_detr_maps.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForObjectDetection

here = Path(__file__).parent


def maps_of(name):
    folder = here.parent / "data/families" / name
    model = AutoModelForObjectDetection.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    given = load_file(folder / "reference.safetensors")
    mask = {"pixel_mask": given["pixel_mask"].long()} if "pixel_mask" in given else {}
    with torch.no_grad():
        output = model(pixel_values=given["pixel_values"].double(), **mask, output_attentions=True)
    return {
        key: [{"shape": list(each.shape), "data": [round(x, 7) for x in each.flatten().tolist()]} for each in output[key]]
        for key in ["attentions", "encoder_attentions", "decoder_attentions", "cross_attentions"]
        if output.get(key) is not None
    }


maps = {name: maps_of(name) for name in ["detr", "rt_detr", "rf_detr"]}
(here / "detr-maps.json").write_text(json.dumps(maps) + "\n")
