"""Writes detr-maps.json: the attention maps that transformers 5.24 computes for test/data/reference3/detr.

    python3 test/pretrained/make_detr_maps.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForObjectDetection

here = Path(__file__).parent
folder = here.parent / "data/reference3/detr"
model = AutoModelForObjectDetection.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
given = load_file(folder / "reference.safetensors")
with torch.no_grad():
    output = model(
        pixel_values=given["pixel_values"].double(), pixel_mask=given["pixel_mask"].long(), output_attentions=True
    )
maps = {
    name: [{"shape": list(each.shape), "data": [round(x, 7) for x in each.flatten().tolist()]} for each in output[key]]
    for name, key in [
        ("encoderAttentions", "encoder_attentions"),
        ("decoderAttentions", "decoder_attentions"),
        ("crossAttentions", "cross_attentions"),
    ]
}
(here / "detr-maps.json").write_text(json.dumps(maps) + "\n")
