#!/usr/bin/env python3
"""Writes pair-*.gguf and mmproj-pair-*.gguf beside this file: models of images and text as llama.cpp converts them.

The checkpoints are image-text-* of test/data/families, qwen2_vl and qwen2_5_vl. They have no tokenizer; their tokens are named
here. The converter expects patches of 16 pixels for LFM2-VL, towers of several layers, and the usual pooling of Gemma 4; this script
replaces these.

  pip install torch transformers gguf && LLAMA_CPP=../llama.cpp python3 make_projector_pairs.py
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

LLAMA_CPP = pathlib.Path(os.environ["LLAMA_CPP"])
sys.path[:0] = [str(LLAMA_CPP), str(LLAMA_CPP / "gguf-py")]
import convert_hf_to_gguf  # noqa: E402
import conversion  # noqa: E402
import gguf  # noqa: E402
from conversion.base import MmprojModel  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

HERE = pathlib.Path(__file__).parent
QWEN = {17: "<|image_pad|>", 14: "<|video_pad|>", 15: "<|vision_start|>", 16: "<|vision_end|>"}
NAMES = {
    "qwen3": QWEN,
    "qwen2_vl": QWEN,
    "qwen2_5_vl": QWEN,
    "lfm2": {17: "<image>"},
    "gemma4-clipped": {17: "<|image|>", 15: "<|image>", 16: "<image|>"},
}
name_map = gguf.get_tensor_name_map
gguf.get_tensor_name_map = lambda arch, count: name_map(arch, max(count, 4))


def vocabulary(names):
    def set_vocab(model):
        model.gguf_writer.add_tokenizer_model("none")
        model.gguf_writer.add_token_list([names.get(i, f"t{i}") for i in range(19)])

    return set_vocab


def patched(model, data, name, bid):
    if "patch_embedding.weight" in name:
        data = data.view(data.shape[0], 2, 2, 3).permute(0, 3, 1, 2)
    yield from MmprojModel.modify_tensors(model, data, name, bid)


def with_pooling(settings):
    def write(model):
        settings(model)
        model.gguf_writer.add_vision_projector_scale_factor(model.hparams_vision["pooling_kernel_size"])

    return write


def with_head_size(tensors):
    """All layers have heads of one size, which the converter looks for under another name."""

    def generate(model):
        model.hparams["global_head_dim"] = model.hparams["head_dim"]
        return tensors(model)

    return generate


for name, names in NAMES.items():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / name
        source = name if name.startswith("qwen2") else f"image-text-{name}"
        shutil.copytree(HERE / "../data/families" / source, folder)
        vocab = {names.get(i, f"t{i}"): i for i in range(19)}
        (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": [], "model": {"vocab": vocab}}))
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}))
        config = json.loads((folder / "config.json").read_text())
        (architecture,) = config["architectures"]
        if name == "qwen3":
            config["vision_config"]["deepstack_visual_indexes"] = [0, 1]  # files hold no other order
        if name == "lfm2":
            config["text_config"]["architectures"] = ["Lfm2ForCausalLM"]
            # transformers 5 saves shorter names than those of the repositories.
            tensors = load_file(folder / "model.safetensors")
            longer = {key.replace("vision_tower.", "vision_tower.vision_model."): tensor for key, tensor in tensors.items()}
            save_file(longer, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps(config))
        text = config["text_config"].get("architectures", [architecture])[0]
        conversion.get_model_class(text).set_vocab = vocabulary(names)
        tower = conversion.get_model_class(architecture, mmproj=True)
        if name == "lfm2":
            tower.modify_tensors = patched
        if name == "gemma4-clipped":
            tower.set_gguf_parameters = with_pooling(tower.set_gguf_parameters)
            language = conversion.get_model_class(text)
            language.generate_extra_tensors = with_head_size(language.generate_extra_tensors)
        for kind, prefix in (["--mmproj"], "mmproj-"), ([], ""):
            out = HERE / f"{prefix}pair-{name}.gguf"
            sys.argv = ["convert", *kind, "--outtype", "f16", "--outfile", str(out), str(folder)]
            convert_hf_to_gguf.main()
