"""Writes segments.json: the segments that transformers' processor finds in the outputs of a random DETR with a mask head.

Needs torch, transformers and Pillow. The model is ../data/families/detr-panoptic, the images are those of
detections.safetensors. Other outputs are waves. Masks are counts of pixels in each row.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from PIL import Image
from safetensors.numpy import load_file
from transformers import DetrForSegmentation
from transformers.models.detr.modeling_detr import DetrSegmentationOutput
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
here = Path(__file__).parent
images = {name.removeprefix("image."): pixels for name, pixels in load_file(here / "detections.safetensors").items() if name.startswith("image.")}
settings = {"size": {"shortest_edge": 48, "longest_edge": 72}}
processor = DetrImageProcessorPil(**settings)
model = DetrForSegmentation.from_pretrained(here / "../data/families/detr-panoptic").eval()
names = ["wide", "tall", "small", "exact"]

OPTIONS = [
    dict(subtask="panoptic", threshold=0.3, mask_threshold=0.15, overlap_mask_area_threshold=0.05),
    dict(subtask="instance", threshold=0.34, mask_threshold=0.3, overlap_mask_area_threshold=0.0),
    dict(subtask="semantic", target_sizes=[[20, 33]]),
]
WAVES = [
    dict(subtask="panoptic"),
    dict(subtask="panoptic", threshold=0.3, overlap_mask_area_threshold=0.2),
    dict(subtask="panoptic", threshold=0.3, overlap_mask_area_threshold=0.2, label_ids_to_fuse=[0]),
    dict(subtask="panoptic", threshold=0.2, mask_threshold=0.3, overlap_mask_area_threshold=0.1, label_ids_to_fuse=[1, 2, 3]),
    dict(subtask="panoptic", threshold=0.9),
    dict(subtask="instance", threshold=0.3, mask_threshold=0.1, overlap_mask_area_threshold=0.3),
    dict(subtask="instance", threshold=0.25, mask_threshold=0.6, overlap_mask_area_threshold=0.0),
    dict(subtask="semantic"),
]


def waves():
    """Logits of 14 queries, for 5 classes and none, and of their masks."""
    query, label, y, x = torch.arange(14.0), torch.arange(6.0), torch.arange(13.0), torch.arange(17.0)
    logits = 3 * torch.sin(query[:, None] * 2.3 + label * 1.9 + 0.4 * query[:, None] * label)
    masks = 5 * torch.sin(y[:, None] / 3 + query[:, None, None] * 1.3) * torch.cos(x / (2 + query[:, None, None] / 4) - query[:, None, None]) - 1
    return DetrSegmentationOutput(logits=logits[None], pred_masks=masks[None])


def rows(mask):
    return mask.sum(1).int().tolist()


def outputs(pixels):
    inputs = processor(Image.fromarray(pixels), return_tensors="pt")
    with torch.no_grad():
        return model(pixel_values=inputs["pixel_values"])


def found(output, size, options):
    options = dict(options)
    subtask, sizes = options.pop("subtask"), options.pop("target_sizes", [size])
    sizes = [tuple(size) for size in sizes]
    labels = model.config.id2label
    if subtask == "semantic":
        map = processor.post_process_semantic_segmentation(output, target_sizes=sizes)[0]
        return [dict(score=None, label=id, rows=rows(map == id)) for id in map.unique().tolist()]
    if "label_ids_to_fuse" in options:
        options["label_ids_to_fuse"] = set(options["label_ids_to_fuse"])
    defaults = dict(threshold=0.5, mask_threshold=0.5, overlap_mask_area_threshold=0.8)
    make = getattr(processor, f"post_process_{subtask}_segmentation")
    result = make(output, target_sizes=sizes, **{**defaults, **options})[0]
    segments = [dict(id=each["id"], score=each["score"], label=each["label_id"], rows=rows(result["segmentation"] == each["id"])) for each in result["segments_info"]]
    by_id = {}
    for each in segments:
        if by_id.setdefault(each["id"], each["label"]) != each["label"]:
            sys.exit(f"{options}: transformers gives two segments the id {each['id']}")
    return segments


size = (40, 53)
content = dict(
    processor=dict(image_processor_type="DetrImageProcessor", **settings),
    images=[dict(options=options, image=name, segments=found(outputs(images[name]), images[name].shape[:2], options)) for options in OPTIONS for name in names],
    waves=dict(size=size, cases=[dict(options=options, segments=found(waves(), size, options)) for options in WAVES]),
)
for case in [*content["images"], *content["waves"]["cases"]]:
    print(case["options"], [(each["label"], each["score"], sum(each["rows"])) for each in case["segments"]])
(here / "segments.json").write_text(json.dumps(content) + "\n")
