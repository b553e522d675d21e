#!/usr/bin/env python3
"""Writes processors.safetensors beside this file: what transformers and PIL make of images and sounds that both sides compute.

  pip install numpy torch transformers pillow safetensors && python3 make_processors.py

The images and sounds are those of `pictureOf` and `soundOf` in processors.test.ts.
"""
import pathlib

import numpy as np
import PIL.Image
from safetensors.numpy import save_file
from transformers import WhisperFeatureExtractor
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.donut.image_processing_pil_donut import DonutImageProcessorPil
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.layoutlmv3.image_processing_pil_layoutlmv3 import LayoutLMv3ImageProcessorPil
from transformers.models.lfm2_vl.image_processing_lfm2_vl import Lfm2VlImageProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil


def words(count, seed):
    """A linear congruential generator's upper bits, from 0 to 65535."""
    state, out = seed, np.empty(count, np.int64)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state >> 16
    return out


def picture(width, height, channels, seed):
    """Slopes with a third of noise."""
    noise = words(width * height * channels, seed).reshape(height, width, channels) % 85
    y, x, c = np.mgrid[:height, :width, :channels]
    return ((x * 7 + y * 3 + c * 50) % 171 + noise).astype(np.uint8)


def sound(count, seed):
    """A tone and a third of noise; a tenth of it is silent."""
    t = np.arange(count)
    samples = 0.5 * np.sin(0.05 * t + 1e-6 * t * t) + (words(count, seed) - 32768) / 65536 / 2
    samples[(t >= count // 2) & (t < count // 2 + count // 10)] = 0
    return samples.astype(np.float32)


out = {}
for name, resample in {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}.items():
    for width, height, to in [(37, 53, (16, 16)), (16, 11, (29, 40)), (64, 20, (64, 7)), (300, 9, (5, 9))]:
        image = PIL.Image.fromarray(picture(width, height, 3, 1)).resize(to, resample)
        out[f"resize.{name}.{width}x{height}.{to[0]}x{to[1]}"] = np.array(image)

small = {"size": {"shortest_edge": 20}, "crop_size": {"height": 16, "width": 16}}
processors = {
    "layoutlmv3": LayoutLMv3ImageProcessorPil(size={"height": 16, "width": 18}, apply_ocr=False),
    "vit": ViTImageProcessorPil(size={"height": 16, "width": 18}),
    "vit-plain": ViTImageProcessorPil(do_resize=False, do_normalize=False),
    "vit-unscaled": ViTImageProcessorPil(size={"height": 8, "width": 8}, do_rescale=False, do_normalize=False, resample=3),
    "clip": CLIPImageProcessorPil(**small),
    "clip-odd": CLIPImageProcessorPil(size={"shortest_edge": 19}, crop_size={"height": 16, "width": 14}),
    "clip-padded": CLIPImageProcessorPil(size={"shortest_edge": 9}, crop_size={"height": 16, "width": 13}),
    "siglip": SiglipImageProcessorPil(size={"height": 17, "width": 17}),
    "beit": BeitImageProcessorPil(size={"height": 18, "width": 12}),
    "deit": DeiTImageProcessorPil(size={"height": 20, "width": 20}, crop_size={"height": 17, "width": 13}),
    "segformer": SegformerImageProcessorPil(size={"height": 16, "width": 20}),
    "convnext": ConvNextImageProcessorPil(size={"shortest_edge": 17}),
    "convnext-share": ConvNextImageProcessorPil(size={"shortest_edge": 16}, crop_pct=0.7, resample=2),
    "dpt": DPTImageProcessorPil(size={"height": 20, "width": 18}, keep_aspect_ratio=True, ensure_multiple_of=7),
    "dpt-plain": DPTImageProcessorPil(size={"height": 21, "width": 14}, ensure_multiple_of=6, do_rescale=False),
    "donut": DonutImageProcessorPil(size={"height": 30, "width": 22}),
    "donut-aligned": DonutImageProcessorPil(size={"height": 30, "width": 22}, do_align_long_axis=True, do_resize=False),
    "donut-unpadded": DonutImageProcessorPil(size={"height": 19, "width": 23}, do_pad=False, do_align_long_axis=True),
    "dinov2": BitImageProcessorPil(**small, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]),
}
for name, processor in processors.items():
    for width, height in [(37, 53), (41, 12)]:
        image = PIL.Image.fromarray(picture(width, height, 3, 2))
        out[f"image.{name}.{width}x{height}"] = processor(image, return_tensors="np")["pixel_values"]
naflex = Siglip2ImageProcessorPil(patch_size=4, max_num_patches=15)
for width, height in [(37, 53), (41, 12)]:
    made = naflex(PIL.Image.fromarray(picture(width, height, 3, 2)), return_tensors="np")
    out[f"image.siglip2.{width}x{height}"] = made["pixel_values"]
    out[f"shapes.siglip2.{width}x{height}"] = made["spatial_shapes"]
rgba = PIL.Image.fromarray(picture(23, 31, 4, 3), "RGBA")
out["image.clip.rgba"] = processors["clip"](rgba, return_tensors="np")["pixel_values"]
grey = PIL.Image.fromarray(picture(23, 31, 1, 4)[..., 0], "L")
out["image.clip.grey"] = processors["clip"](grey, return_tensors="np")["pixel_values"]

# Images of language models: pixels, and grids where a model has them. The tests check the text apart.
readers = {
    "gemma3": Gemma3ImageProcessorPil(size={"height": 18, "width": 18}),
    "gemma3-crops": Gemma3ImageProcessorPil(
        size={"height": 12, "width": 12}, do_pan_and_scan=True, pan_and_scan_min_crop_size=9,
        pan_and_scan_max_num_crops=4, pan_and_scan_min_ratio_to_activate=1.2),
    "gemma4": Gemma4ImageProcessorPil(patch_size=2, pooling_kernel_size=1, max_soft_tokens=70),
    "gemma4-blocks": Gemma4ImageProcessorPil(patch_size=1, pooling_kernel_size=3, max_soft_tokens=70, do_normalize=True, image_mean=[0.5] * 3, image_std=[0.25] * 3),
    "smolvlm": Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 24}),
    "smolvlm-whole": Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 24}, do_image_splitting=False),
    "smolvlm-small": Idefics3ImageProcessorPil(size={"longest_edge": 20}, max_image_size={"longest_edge": 24}),
    "paligemma": SiglipImageProcessorPil(size={"height": 16, "width": 16}),
    "qwen": Qwen2VLImageProcessorPil(
        size={"shortest_edge": 16 * 16, "longest_edge": 40 * 40}, patch_size=4, merge_size=2, temporal_patch_size=2),
    "qwen-small": Qwen2VLImageProcessorPil(
        size={"shortest_edge": 70 * 70, "longest_edge": 80 * 80}, patch_size=6, merge_size=2, temporal_patch_size=2),
    "lfm2": Lfm2VlImageProcessor(
        encoder_patch_size=4, tile_size=24, min_image_tokens=4, max_image_tokens=16, return_row_col_info=True),
    "lfm2-large": Lfm2VlImageProcessor(
        encoder_patch_size=4, tile_size=16, min_image_tokens=4, max_image_tokens=9, max_tiles=6, return_row_col_info=True),
}
for name, reader in readers.items():
    for width, height in [(37, 53), (61, 12), (23, 23)]:
        image = PIL.Image.fromarray(picture(width, height, 3, 7))
        result = reader(image, return_tensors="pt" if name.startswith("lfm2") else "np")
        for key, value in result.items():
            if key in ("pixel_values", "image_grid_thw", "spatial_shapes", "num_crops", "image_position_ids"):
                out[f"reader.{name}.{width}x{height}.{key}"] = np.asarray(value)
out["reader.gemma3.rgba"] = readers["gemma3"](rgba.convert("RGBA"), return_tensors="np")["pixel_values"]
out["reader.gemma3.grey"] = readers["gemma3"](grey, return_tensors="np")["pixel_values"]

some = np.r_[0:250:5, 2990:3000]  # frames
for bins in (80, 128):
    extractor = WhisperFeatureExtractor(feature_size=bins)
    for count in (20011, 600000):
        features = extractor(sound(count, 5), sampling_rate=16000, return_tensors="np")["input_features"]
        assert features.shape == (1, bins, 3000)
        out[f"whisper.{bins}.{count}"] = features[0][:, some]

save_file({name: np.ascontiguousarray(value if value.dtype == np.uint8 else value.astype(np.float32)) for name, value in out.items()},
          pathlib.Path(__file__).with_name("processors.safetensors"))
