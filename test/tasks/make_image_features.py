#!/usr/bin/env python3
"""Writes image-features.json beside this file: what the pipeline image-feature-extraction of transformers gives for tiny classifiers.

  pip install torch torchvision transformers pillow && python3 make_image_features.py

Weights come from the formula of ../pretrained/variant.ts.
"""
import json
import math
import pathlib
import tempfile

import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
stages = dict(depths=[1, 1], hidden_sizes=[8, 16], num_labels=3)
pyramid = dict(
    num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[4, 6], num_attention_heads=[1, 2], mlp_ratios=[1, 1],
)
hiera = dict(
    embed_dim=4, image_size=[16, 24], patch_size=[3, 3], patch_stride=[2, 2], patch_padding=[1, 1], depths=[1, 1], num_heads=[1, 2], embed_dim_multiplier=2.0,
    num_query_pool=1, query_stride=[2, 2], masked_unit_size=[2, 2], masked_unit_attention=[True, False],
)
CASES = {
    "ConvNextForImageClassification": dict(stages, num_stages=2, patch_size=2),
    "ConvNextV2ForImageClassification": dict(stages, num_stages=2, patch_size=2),
    "BitForImageClassification": dict(stages, embedding_size=8, num_groups=2),
    "ResNetForImageClassification": dict(stages, embedding_size=8, layer_type="basic"),
    "HieraForImageClassification": dict(hiera, num_labels=3),
    "HieraForPreTraining": dict(hiera, decoder_hidden_size=4, decoder_depth=1, decoder_num_heads=1),
    "PvtForImageClassification": dict(pyramid, sequence_reduction_ratios=[2, 1], image_size=16, num_labels=3, patch_sizes=[4, 2], strides=[4, 2]),
    "MobileViTForImageClassification": dict(
        hidden_sizes=[4, 4, 6], neck_hidden_sizes=[2, 2, 3, 2, 3, 2, 4], num_attention_heads=2, mlp_ratio=1.0, expand_ratio=1.5, num_labels=3,
    ),
    "SegformerForSemanticSegmentation": dict(pyramid, patch_sizes=[3, 3], strides=[2, 2], num_labels=3, decoder_hidden_size=4),
    "GLPNForDepthEstimation": dict(pyramid, patch_sizes=[3, 3], strides=[2, 2], decoder_hidden_size=4),
    "ViTForImageClassification": dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, image_size=16, patch_size=8, num_labels=3),
}


def weights(index, count):
    """Same as in variant.ts."""
    state, values = index * 7919 + 1, []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 16) / 65536 - 0.5)
    return torch.tensor(values)


def rounded(tensor):
    values = torch.tensor(tensor)
    return dict(shape=list(values.shape), values=[float(f"{x:.6g}") for x in values.flatten().tolist()])


picture = Image.open(HERE / "programs/square.png").convert("RGB")
cases = []
for name, settings in CASES.items():
    kind = getattr(transformers, name)
    width, height = (24, 16) if name.startswith("Hiera") else (16, 16)
    with tempfile.TemporaryDirectory() as folder:
        kind(kind.config_class(**settings)).save_pretrained(folder)
        transformers.ViTImageProcessor(size=dict(height=height, width=width)).save_pretrained(folder)
        stored = load_file(f"{folder}/model.safetensors")
        names = sorted(stored)
        values = {key: weights(i, math.prod(stored[key].shape)) + key.endswith("running_var") for i, key in enumerate(names)}
        save_file({key: values[key].reshape(stored[key].shape).to(stored[key].dtype) for key in names}, f"{folder}/model.safetensors", {"format": "pt"})
        read = transformers.pipeline("image-feature-extraction", folder, dtype=torch.float32)
        case = dict(config=json.loads(pathlib.Path(folder, "config.json").read_text()), shapes={key: list(stored[key].shape) for key in names})
        case["processor"] = json.loads(next(pathlib.Path(folder).glob("*processor_config.json")).read_text())
        case["features"] = rounded(read(picture))
        if name not in ["HieraForPreTraining", "PvtForImageClassification", "SegformerForSemanticSegmentation", "GLPNForDepthEstimation", "ViTForImageClassification"]:
            case["pooled"] = rounded(read(picture, pool=True))
        cases.append(case)
(HERE / "image-features.json").write_text(json.dumps(cases) + "\n")
