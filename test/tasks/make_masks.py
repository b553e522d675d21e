#!/usr/bin/env python3
"""Writes masks.json beside this file: what transformers' pipeline mask-generation makes of an image, by the SAM of ../data/families.

  pip install torch torchvision transformers pillow && python3 make_masks.py
"""
import json
import pathlib

import numpy as np
import torch
from PIL import Image
from transformers import SamModel, pipeline
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

here = pathlib.Path(__file__).parent
model = SamModel.from_pretrained(here.parent / "data/families/sam", dtype=torch.float32).eval()
settings = dict(size={"longest_edge": 48}, pad_size={"height": 48, "width": 48}, mask_size={"longest_edge": 24}, mask_pad_size={"height": 24, "width": 24})
processor = SamImageProcessorPil(**settings)
width, height = 61, 83
pixels = np.array([(i * 7 + (i * i) % 97) % 256 for i in range(width * height * 3)], dtype=np.uint8).reshape(height, width, 3)
image = Image.fromarray(pixels)
generate = pipeline("mask-generation", model=model, image_processor=processor)
loose = dict(pred_iou_thresh=0.0, stability_score_thresh=0.0)
cases = [
    dict(loose, points_per_crop=3, points_per_batch=4),
    dict(loose, points_per_crop=4, points_per_batch=64, crops_nms_thresh=0.95, mask_threshold=0.1),
    dict(loose, points_per_crop=3, mask_threshold=0.2, crops_nms_thresh=0.6),
    dict(loose, points_per_crop=2, crops_n_layers=1, crop_overlap_ratio=0.4, crops_nms_thresh=0.9, mask_threshold=0.2),
    dict(points_per_crop=3, pred_iou_thresh=0.05, stability_score_thresh=0.5, stability_score_offset=0.02, mask_threshold=0.05),
]
results = []
for options in cases:
    found = generate(image, output_rle_mask=True, output_bboxes_mask=True, **options)
    results.append(dict(
        options=options, scores=[round(float(score), 6) for score in found["scores"]], boxes=found["bounding_boxes"].tolist(),
        rle=[dict(size=list(map(int, rle["size"])), counts=list(map(int, rle["counts"]))) for rle in found["rle_mask"]],
    ))
    print(options, [len(each['counts']) for each in found['rle_mask']][:6], found['bounding_boxes'].tolist()[:4], len(found["masks"]), results[-1]["scores"][:5])

prompts = dict(input_points=[[[20, 30], [40, 60]], [[5, 80], [50, 10]]], input_labels=[[1, 0], [1, 1]], input_boxes=[[10, 12, 50, 70], [0, 0, 30, 83]])
inputs = processor(images=image, return_tensors="pt")
scale = torch.tensor([inputs["reshaped_input_sizes"][0][1] / width, inputs["reshaped_input_sizes"][0][0] / height])
prompted = []
for names in (["input_points"], ["input_points", "input_labels"], ["input_boxes"], ["input_points", "input_labels", "input_boxes"]):
    given = {}
    for name in names:
        tensor = torch.tensor(prompts[name])[None]
        if name != "input_labels":
            tensor = (tensor.reshape(*tensor.shape[:-1], -1, 2) * scale).reshape(tensor.shape).float()
        given[name] = tensor
    with torch.no_grad():
        output = model(pixel_values=inputs["pixel_values"], **given)
    masks = processor.post_process_masks(output.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"])[0].flatten(0, 1)
    prompted.append(dict(
        options={name: prompts[name] for name in names}, scores=[round(float(s), 6) for s in output.iou_scores.flatten()],
        areas=[int(mask.sum()) for mask in masks], rows=[mask.sum(1).tolist() for mask in masks],
    ))
path = here / "masks.json"
path.write_text(json.dumps(dict(processor=dict(settings, image_processor_type="SamImageProcessor"), size=[width, height], generated=results, prompted=prompted)) + "\n")
