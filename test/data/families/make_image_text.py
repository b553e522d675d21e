#!/usr/bin/env python3
"""Writes the folders image-text-* beside this file: tiny random models of images and text, and what transformers computes.

  pip install torch transformers && python3 make_image_text.py [NAME …]

Float64 arithmetic, stored as float32. Image tokens have the id 17. Each prompt is one row of the inputs.
"""
import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("names", nargs="*", metavar="NAME", help="folders to write; default: all")
wanted = parser.parse_args().names

HERE = pathlib.Path(__file__).parent
IMAGE, NEW = 17, 5
common = dict(vocab_size=19, bos_token_id=1, eos_token_id=2, pad_token_id=0)
text = dict(
    common, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, head_dim=8, intermediate_size=10,
    max_position_embeddings=64, initializer_range=0.3,
)
vision = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=6, image_size=20, patch_size=4, initializer_range=0.3)
siglip = dict(vision, model_type="siglip_vision_model")
qwen = dict(
    depth=2, hidden_size=8, num_heads=2, intermediate_size=6, patch_size=2, num_position_embeddings=9, out_hidden_size=12, initializer_range=0.3,
)
windows = dict(sliding_window=3, layer_types=["full_attention", "sliding_attention"])
runs = lambda *counts: [[3, *[part for n in row for part in (*[IMAGE] * n, 5, 6)], 7, 8] for row in counts]
pixels = lambda *shape: torch.randn(*shape).double()


def patches(grids, size):
    """Images as lists of patches, padded at the end."""
    most = max(h * w for h, w in grids)
    values = pixels(len(grids), most, size)
    mask = torch.tensor([[int(i < h * w) for i in range(most)] for h, w in grids])
    return dict(pixel_values=values * mask[:, :, None], pixel_attention_mask=mask, spatial_shapes=torch.tensor(grids))


def places(grids):
    most = max(h * w for h, w in grids)
    own = [[[i % w, i // w] if i < h * w else [-1, -1] for i in range(most)] for h, w in grids]
    return dict(pixel_values=torch.rand(len(grids), most, 12).double(), image_position_ids=torch.tensor(own))


def masked():
    """The second image of the second row is padding; one image has padding at its edges."""
    images, mask = pixels(2, 2, 3, 12, 12), torch.ones(2, 2, 12, 12, dtype=torch.long)
    images[1, 1], mask[1, 1], mask[0, 1, 8:], mask[0, 1, :, 4:] = 0, 0, 0, 0
    return dict(pixel_values=images, pixel_attention_mask=mask)


CASES = {
    # The image has a patch that no token covers, the window is smaller than an image, and the head that pools is not used.
    "image-text-gemma3": (
        "Gemma3ForConditionalGeneration",
        dict(
            text_config=dict(text, **windows, query_pre_attn_scalar=10, final_logit_softcapping=2.0, attention_bias=True),
            vision_config=dict(siglip), mm_tokens_per_image=4, image_token_index=IMAGE, boi_token_index=15, eoi_token_index=16, tie_word_embeddings=False,
        ),
        runs([4, 4], [4, 4]), lambda: dict(pixel_values=pixels(4, 3, 20, 20)), "token_type_ids",  # padding sees nothing: NaN
    ),
    "image-text-paligemma2": (
        "PaliGemmaForConditionalGeneration",
        dict(
            text_config=dict(text, model_type="gemma2", sliding_window=3, query_pre_attn_scalar=10), projection_dim=12, image_token_index=IMAGE,
            vision_config=dict(siglip, image_size=8, vision_use_head=False),
        ),
        runs([4], [4]), lambda: dict(pixel_values=pixels(2, 3, 8, 8)), "suffix",
    ),
    "image-text-smolvlm": (
        "SmolVLMForConditionalGeneration",
        dict(
            text_config=dict(text, model_type="llama"), vision_config=dict(vision, image_size=16, patch_size=2), scale_factor=3, image_token_id=IMAGE,
            tie_word_embeddings=True,
        ),
        runs([4, 4], [4]), masked, None,
    ),
    # As many layers as there are features to add, which belong to layers in reverse order; images differ in size.
    "image-text-qwen3": (
        "Qwen3VLForConditionalGeneration",
        dict(
            text_config=dict(text, rope_parameters=dict(rope_type="default", rope_theta=100.0, mrope_section=[1, 2, 1])),
            vision_config=dict(qwen, deepstack_visual_indexes=[1, 0]), image_token_id=IMAGE, tie_word_embeddings=True,
        ),
        runs([6, 2], [1]), lambda: dict(pixel_values=pixels(36, 24), image_grid_thw=torch.tensor([[1, 4, 6], [1, 2, 4], [1, 2, 2]])), "mm_token_type_ids",
    ),
    "image-text-lfm2": (
        "Lfm2VlForConditionalGeneration",
        dict(
            text_config=dict({k: v for k, v in text.items() if k != "head_dim"}, model_type="lfm2", layer_types=["full_attention", "conv"]),
            vision_config=dict(
                {k: v for k, v in vision.items() if k != "image_size"}, model_type="siglip2_vision_model", patch_size=2, num_patches=16, vision_use_head=False),
            projector_use_layernorm=False, projector_bias=False, projector_hidden_act="silu", projector_hidden_size=7, image_token_id=IMAGE,
        ),
        runs([2, 4], [1]), lambda: patches([(3, 5), (4, 4), (2, 3)], 12), None,
    ),
    "image-text-gemma4": (
        "Gemma4ForConditionalGeneration",
        dict(
            text_config=dict(
                text, sliding_window=3, layer_types=["sliding_attention", "full_attention"], hidden_size_per_layer_input=3, vocab_size_per_layer_input=19,
                num_kv_shared_layers=0, use_bidirectional_attention="vision", global_head_dim=8,
            ),
            vision_config=dict(
                hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8, intermediate_size=6, patch_size=2,
                pooling_kernel_size=2, position_embedding_size=8, initializer_range=0.3),
            audio_config=None, image_token_id=IMAGE, video_token_id=14, audio_token_id=13, boi_token_id=15, eoi_token_id=16,
        ),
        runs([4], [2]), lambda: places([(4, 4), (2, 4)]), "mm_token_type_ids",
    ),
    # Projections of the tower whose inputs and outputs have limits, and vectors of images that are standardized.
    "image-text-gemma4-clipped": (
        "Gemma4ForConditionalGeneration",
        dict(
            text_config=dict(
                text, sliding_window=3, num_hidden_layers=1, layer_types=["full_attention"], hidden_size_per_layer_input=0, num_kv_shared_layers=0,
                global_head_dim=8,
            ),
            vision_config=dict(
                hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=4, intermediate_size=6, patch_size=2,
                pooling_kernel_size=2, position_embedding_size=8, initializer_range=0.3, use_clipped_linears=True, standardize=True),
            audio_config=None, image_token_id=IMAGE, video_token_id=14, audio_token_id=13, boi_token_id=15, eoi_token_id=16,
        ),
        runs([4], [2]), lambda: places([(4, 4), (2, 4)]), "mm_token_type_ids",
    ),
}

for seed, (name, (cls, settings, rows, images, kinds)) in enumerate(CASES.items()):
    if wanted and name not in wanted:
        continue
    torch.manual_seed(seed)
    kind = getattr(transformers, cls)
    model = kind._from_config(kind.config_class(**settings), attn_implementation="eager").float()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    model.tie_weights()
    for key, buffer in model.named_buffers():
        limit = {"min": -1, "max": 1}.get(key[-3:])
        if limit and ("input_" in key or "output_" in key):
            buffer.fill_(limit * (0.2 + torch.rand(()).item()))
        elif key.endswith(("std_bias", "std_scale")):
            buffer.copy_(0.5 + torch.rand(buffer.shape))
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model.double().eval()
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    inputs = dict(input_ids=ids, attention_mask=mask, labels=torch.where((mask == 1) & (ids != IMAGE), ids, -100), **images())
    if kinds == "suffix":
        inputs["token_type_ids"] = torch.tensor([[int(i >= longest - 3) for i in range(longest)]] * len(rows))
    elif kinds:
        inputs[kinds] = (ids == IMAGE).long()
    output = model(**inputs, output_hidden_states=True, output_attentions=True, use_cache=False)
    output.loss.backward()
    tensors = dict(inputs, logits=output.logits, loss=output.loss)
    for key in ("hidden_states", "attentions"):
        tensors.update({f"{key}.{i}": state for i, state in enumerate(output[key]) if state is not None})
    every = [*model.parameters(), *model.buffers()]
    values = [tensor.data for tensor in every]
    for tensor in every:
        tensor.data = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    model.save_pretrained("/tmp/image-text-gradients")
    for tensor, value in zip(every, values):
        tensor.data = value
    tensors.update({f"grad.{key}": t for key, t in load_file("/tmp/image-text-gradients/model.safetensors").items() if t.any()})
    save_file(
        {key: (t.int() if t.dtype == torch.long else t.detach().float()).contiguous().clone() for key, t in tensors.items()},
        folder / "reference.safetensors",
    )
    prompts = [row for row in rows]
    (folder / "reference.json").write_text(json.dumps({"class": cls}))
    print(name, float(output.loss))
