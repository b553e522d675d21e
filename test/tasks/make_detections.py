"""Writes detections.safetensors and detections.json: what transformers' processors (on PIL) and detectors make of images.

Needs torch, transformers, tokenizers, scipy and Pillow. The detectors are those of ../data/families.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForObjectDetection, AutoModelForZeroShotObjectDetection
from transformers.models.detr.image_processing_pil_detr import DetrImageProcessorPil
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil
from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

here = Path(__file__).parent
random = np.random.default_rng(11)


def picture(width, height, channels):
    """Smooth colours with some noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 90 * np.sin(x / (3 + c) + c) * np.cos(y / (4 - c / 2)) for c in range(channels)]
    noisy = np.stack(planes, -1) + random.normal(0, 12, (height, width, channels))
    return noisy.clip(0, 255).astype(np.uint8)


def opened(pixels):
    """As users give it: alpha is blended with white first, as our processors do."""
    if pixels.shape[2] == 4:
        image = Image.fromarray(pixels, "RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return Image.fromarray(pixels[..., 0], "L").convert("RGB") if pixels.shape[2] == 1 else Image.fromarray(pixels)


images = {name: picture(*size) for name, size in {
    "wide": (83, 41, 3), "tall": (29, 47, 3), "grey": (50, 61, 1), "alpha": (45, 30, 4), "small": (13, 9, 3),
    "exact": (48, 64, 3), "long": (120, 35, 3),
}.items()}
kinds = {
    "detr": (DetrImageProcessorPil, {"size": {"shortest_edge": 48, "longest_edge": 72}}),
    "rt_detr": (RTDetrImageProcessorPil, {"size": {"height": 64, "width": 64}}),
    "owlv2": (Owlv2ImageProcessorPil, {"size": {"height": 24, "width": 24}}),
    "owlvit": (OwlViTImageProcessorPil, {"size": {"height": 56, "width": 56}}),
}
tensors = {f"image.{name}": pixels for name, pixels in images.items()}
configs = {}
made = {}
for kind, (cls, settings) in kinds.items():
    made[kind] = cls(**settings)
    name = cls.__name__.removesuffix("Pil")
    configs[kind] = {"image_processor_type": name, **settings}
    for image, pixels in images.items():
        values = made[kind](opened(pixels), return_tensors="np")["pixel_values"]
        tensors[f"{kind}.{image}"] = values.astype(np.float32)




def rf_detr_pixels(image, height, width):
    """What transformers' RfDetrImageProcessor does by torchvision, which calls this function of torch."""
    values = torch.tensor(np.asarray(image)).permute(2, 0, 1)[None] / 255
    resized = torch.nn.functional.interpolate(values, (height, width), mode="bilinear", align_corners=False)
    mean, std = [torch.tensor(each).reshape(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    return (resized - mean) / std


configs["rf_detr"] = {"image_processor_type": "RfDetrImageProcessor", "size": {"height": 32, "width": 48}}
for image, pixels in images.items():
    tensors[f"rf_detr.{image}"] = rf_detr_pixels(opened(pixels), 32, 48).numpy()


def boxes(result, names, threshold):
    return [
        {"label": names[label], "score": score, "box": [int(side) for side in box]}
        for score, label, box in zip(*[result[key].tolist() for key in ("scores", "labels", "boxes")])
        if score > threshold
    ]


found = {}
for kind, threshold in [("detr", 0.2), ("rt_detr", 0.5), ("rf_detr", 0.5)]:
    model = AutoModelForObjectDetection.from_pretrained(here / "../data/families" / kind).double().eval()
    found[kind] = {"threshold": threshold, "images": {}}
    for image, pixels in images.items():
        if kind == "rf_detr":
            values = torch.tensor(tensors[f"rf_detr.{image}"])
        else:
            values = made[kind](opened(pixels), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            output = model(pixel_values=values.double())
        size = [(pixels.shape[0], pixels.shape[1])]
        processor = made["rt_detr" if kind == "rf_detr" else kind]  # the two read outputs alike
        result = processor.post_process_object_detection(output, threshold=0.0, target_sizes=size)[0]
        found[kind]["images"][image] = boxes(result, model.config.id2label, threshold)

vocabulary = {"!": 0, "a": 3, "cat": 7, "dog": 21, "red": 40, "<s>": 95, "</s>": 96}
tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="!"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 95), ("</s>", 96)])
labels = ["a cat", "red dog", "dog"]
model = AutoModelForZeroShotObjectDetection.from_pretrained(here / "../data/families/owlv2").double().eval()
found["owlv2"] = {"threshold": 0.3, "labels": labels, "images": {}}
for image, pixels in images.items():
    inputs = made["owlv2"](opened(pixels), return_tensors="pt")
    every = []
    for label in labels:  # one by one, as the pipeline does
        ids = torch.tensor([tokenizer.encode(label).ids])
        with torch.no_grad():
            values = inputs["pixel_values"].double()
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=values)
        size = [(pixels.shape[0], pixels.shape[1])]
        result = made["owlv2"].post_process_object_detection(output, threshold=0.0, target_sizes=size)[0]
        every += boxes(result, [label], 0.3)
    found["owlv2"]["images"][image] = sorted(every, key=lambda each: -each["score"])

save_file(tensors, here / "detections.safetensors")
content = {"processors": configs, "found": found, "tokenizer": json.loads(tokenizer.to_str())}
(here / "detections.json").write_text(json.dumps(content, indent=2) + "\n")
print({kind: {name: len(each) for name, each in value["images"].items()} for kind, value in found.items()})
