#!/usr/bin/env python3
"""Writes image-tasks.json beside this file: what transformers makes of an image with the checkpoints of test/data.

  pip install numpy torch transformers pillow && python3 make_image_tasks.py

The image is `picture` below, which image-tasks.test.ts makes alike.
"""
import json
import pathlib

import numpy as np
import PIL.Image
import torch
from transformers import AutoModelForDepthEstimation, SegformerForSemanticSegmentation, VisionEncoderDecoderModel
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent / "data"
WIDTH, HEIGHT = 23, 31
y, x, c = np.mgrid[:HEIGHT, :WIDTH, :3]
picture = PIL.Image.fromarray(((x * x * 3 + y * 11 * (c + 1) + (x // 5) * (y // 7) * 40) % 256).astype(np.uint8))

with torch.no_grad():
    processor = SegformerImageProcessorPil(size={"height": 64, "width": 32})
    model = SegformerForSemanticSegmentation.from_pretrained(DATA / "families/segformer").eval()
    output = model(**processor(picture, return_tensors="pt"))
    classes = processor.post_process_semantic_segmentation(output, target_sizes=[(HEIGHT, WIDTH)])[0]

    processor = DPTImageProcessorPil(size={"height": 28, "width": 28}, ensure_multiple_of=7, keep_aspect_ratio=True)
    model = AutoModelForDepthEstimation.from_pretrained(DATA / "families/depth_anything").eval()
    depth = model(**processor(picture, return_tensors="pt")).predicted_depth
    depth = torch.nn.functional.interpolate(depth[:, None], size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0, 0]

    processor = ViTImageProcessorPil(size={"height": 24, "width": 24})
    model = VisionEncoderDecoderModel.from_pretrained(DATA / "families/trocr").eval()
    pixels = processor(picture, return_tensors="pt").pixel_values
    caption = model.generate(pixels, max_new_tokens=8, do_sample=False, num_beams=1, eos_token_id=None, pad_token_id=1)[0]
    prompt = torch.tensor([[2, 7, 8, 9, 10, 11]])
    answer = model.generate(pixels, decoder_input_ids=prompt, max_new_tokens=5, do_sample=False, num_beams=1, eos_token_id=None, pad_token_id=1)[0]

found = dict(classes=classes.flatten().tolist(), depth=[round(value, 6) for value in depth.flatten().tolist()], caption=caption.tolist(), answer=answer.tolist())
(HERE / "image-tasks.json").write_text(json.dumps(found) + "\n")
