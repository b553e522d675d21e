#!/usr/bin/env python3
"""Writes folders of this kind: a tiny random model, its weights in a quantized format, and what the original class computes with them.

  pip install torch transformers && python3 make_quantized.py [--seed N] [--out FOLDER] [NAME ...]

A name is that of a folder beside this file, whose config.json says how its weights are quantized; default: all. Codes are rounded to the
nearest. Other seeds give other weights. Licence: MIT, as the rest of this repository.
"""
import argparse
import hashlib
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # outputs of a word, from its low bits on
# bitsandbytes' tables, by code.
NF4 = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
    0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
])
FP4 = torch.tensor([0.0, 0.0052083333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25])
FP4 = torch.cat([FP4, -FP4])
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
E2M1 = torch.cat([E2M1, -E2M1])


def words(codes, bits):
    """Codes [..., n] as int32 [..., n · bits / 32], from the low bits on."""
    each = 32 // bits
    shifted = codes.long().unflatten(-1, (-1, each)) << (bits * torch.arange(each))
    total = shifted.sum(-1)
    return torch.where(total >= 2**31, total - 2**32, total).int()


def nearest(values, table):
    return (values[..., None] - table).abs().argmin(-1)


def affine(weight, bits, groups, symmetric, dtype):
    """Codes of [out, in], and scales and zero points [out, groups]. `groups` has the group of each input."""
    count, top = int(groups.max()) + 1, 2**bits - 1
    low = torch.stack([weight[:, groups == g].amin(1) for g in range(count)], 1).clamp(max=0)
    high = torch.stack([weight[:, groups == g].amax(1) for g in range(count)], 1).clamp(min=0)
    if symmetric:
        scales = (2 * torch.maximum(-low, high) / top).to(dtype)
        zeros = torch.full_like(low, 2 ** (bits - 1))
    else:
        scales = ((high - low) / top).to(dtype)
        zeros = (-low / scales.float()).round().clamp(1, top)
    codes = ((weight / scales.float()[:, groups]).round() + zeros[:, groups]).clamp(0, top)
    return codes, scales, zeros, (codes - zeros[:, groups]) * scales.float()[:, groups]


def gptq(name, weight, config):
    bits, size = config["bits"], config["group_size"]
    groups = torch.arange(weight.shape[1]) // size
    if config["desc_act"]:
        groups = groups[torch.randperm(len(groups))]
    codes, scales, zeros, values = affine(weight, bits, groups, config["sym"], torch.float16)
    less = 0 if config["checkpoint_format"] == "gptq_v2" else 1
    return {
        f"{name}.qweight": words(codes, bits).T.contiguous(), f"{name}.qzeros": words(zeros.T - less, bits),
        f"{name}.scales": scales.T.contiguous(), f"{name}.g_idx": groups.int(),
        f"{name}.bias": torch.zeros(len(weight), dtype=torch.float16),  # its writer stores one for each layer
    }, values


def awq(name, weight, config):
    groups = torch.arange(weight.shape[1]) // config["group_size"]
    codes, scales, zeros, values = affine(weight, 4, groups, False, torch.float16)
    ordered = lambda codes: words(codes.T.unflatten(-1, (-1, 8))[..., AWQ_ORDER].flatten(-2), 4)
    return {f"{name}.qweight": ordered(codes), f"{name}.qzeros": ordered(zeros), f"{name}.scales": scales.T.contiguous()}, values


def float8(weight, scales):
    codes = (weight / scales.float()).clamp(-448, 448).to(torch.float8_e4m3fn)
    return codes, codes.float() * scales.float()


def compressed(name, weight, config):
    weights = config["config_groups"]["group_0"]["weights"]
    bits, rows = weights["num_bits"], weight.abs().amax(1, keepdim=True)
    if config["format"] == "float-quantized":
        is_tensor = weights["strategy"] == "tensor"
        scales = ((rows.max() if is_tensor else rows) / 448).to(torch.bfloat16).reshape(-1, *([] if is_tensor else [1]))
        codes, values = float8(weight, scales)
        static = {f"{name}.input_scale": torch.ones(1, dtype=torch.bfloat16)} if is_tensor else {}
        return {f"{name}.weight": codes, f"{name}.weight_scale": scales, **static}, values
    if config["format"] == "int-quantized":
        scales = (rows / 127).to(torch.bfloat16)
        codes = (weight / scales.float()).round().clamp(-128, 127).to(torch.int8)
        return {f"{name}.weight": codes, f"{name}.weight_scale": scales}, codes.float() * scales.float()
    groups = torch.arange(weight.shape[1]) // (weights["group_size"] or weight.shape[1])
    codes, scales, zeros, values = affine(weight, bits, groups, weights["symmetric"], torch.bfloat16)
    points = {} if weights["symmetric"] else {f"{name}.weight_zero_point": words(zeros.T, bits).T.contiguous()}
    shape = torch.tensor(weight.shape)
    return {f"{name}.weight_packed": words(codes, bits), f"{name}.weight_scale": scales, f"{name}.weight_shape": shape, **points}, values


def float8_blocks(name, weight, config):
    high, wide = config["weight_block_size"]
    blocks = [[weight[i : i + high, j : j + wide].abs().max() / 448 for j in range(0, weight.shape[1], wide)] for i in range(0, len(weight), high)]
    scales = torch.tensor(blocks)
    codes, values = float8(weight, scales.repeat_interleave(high, 0)[: len(weight)].repeat_interleave(wide, 1)[:, : weight.shape[1]])
    return {f"{name}.weight": codes, f"{name}.weight_scale_inv": scales}, values


def bitsandbytes(name, weight, config):
    if config["load_in_8bit"]:
        largest = weight.abs().amax(1)
        codes = (weight * (127 / largest)[:, None]).round().to(torch.int8)
        layout = torch.tensor(0, dtype=torch.uint8)
        return {f"{name}.weight": codes, f"{name}.SCB": largest, f"{name}.weight_format": layout}, codes.float() * (largest / 127)[:, None]
    kind, table = config["bnb_4bit_quant_type"], NF4 if config["bnb_4bit_quant_type"] == "nf4" else FP4
    blocks = weight.reshape(-1, 64)
    largest = blocks.abs().amax(1)
    state = dict(quant_type=kind, blocksize=64, dtype="bfloat16", shape=list(weight.shape))
    key, extra = f"{name}.weight", {}
    if config["bnb_4bit_use_double_quant"]:
        levels, offset = torch.linspace(-1, 1, 256), float(largest.mean())
        outer = (largest - offset).abs().max().reshape(1)
        stored = nearest((largest - offset) / outer, levels).to(torch.uint8)
        largest = levels[stored.long()] * outer + offset
        extra = {f"{key}.nested_absmax": outer, f"{key}.nested_quant_map": levels}
        state |= dict(nested_blocksize=256, nested_dtype="float32", nested_offset=offset)
    codes = nearest(blocks / largest[:, None], table)
    flat = codes.flatten()
    packed = (flat[::2] << 4 | flat[1::2]).to(torch.uint8)[:, None]
    text = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    tensors = {key: packed, f"{key}.absmax": stored if extra else largest, f"{key}.quant_map": table, f"{key}.quant_state.bitsandbytes__{kind}": text, **extra}
    return tensors, (table[codes] * largest[:, None]).reshape(weight.shape)


def mxfp4(name, weight, _):
    """`weight` is [experts, in, out]."""
    groups = weight.transpose(1, 2).unflatten(-1, (-1, 32))
    exponents = groups.abs().amax(-1).clamp(min=2**-60).log2().floor() - 2
    codes = nearest(groups / exponents.exp2()[..., None], E2M1)
    blocks = (codes[..., 1::2] << 4 | codes[..., ::2]).to(torch.uint8)
    values = (E2M1[codes] * exponents.exp2()[..., None]).flatten(-2).transpose(1, 2).contiguous()
    return {f"{name}_blocks": blocks, f"{name}_scales": (exponents + 127).to(torch.uint8)}, values


METHODS = {"gptq": gptq, "awq": awq, "compressed-tensors": compressed, "fp8": float8_blocks, "bitsandbytes": bitsandbytes, "mxfp4": mxfp4}


def quantized_names(model, method):
    """Names of the weights that a method quantizes, by the names of their modules or parameters."""
    if method == "mxfp4":
        return {name: name for name, _ in model.named_parameters() if name.endswith(("experts.gate_up_proj", "experts.down_proj"))}
    return {f"{name}.weight": name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and ".layers." in name}


def describe(tensor):
    return ["float32", list(tensor.shape), hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest(), tensor.double().sum().item()]


def make(folder, out, seed):
    torch.manual_seed(seed)
    given = json.loads((folder / "config.json").read_text())
    settings = given["quantization_config"]
    method = settings["quant_method"]
    config = transformers.AutoConfig.for_model(**{key: value for key, value in given.items() if key != "quantization_config"})
    config._attn_implementation = config._experts_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    for parameter in model.parameters():
        parameter.data.normal_(1.0 if parameter.ndim == 1 and len(parameter) == config.hidden_size else 0.0, 0.1)
    dtype = torch.float16 if method in ("gptq", "awq") else torch.bfloat16
    files, dequantized = {}, {}
    names = quantized_names(model, method)
    state = model.state_dict()
    for key, name in names.items():
        tensors, dequantized[key] = METHODS[method](name, state[key], settings)
        files |= tensors
    for key, value in state.items():
        if key not in names and not (config.tie_word_embeddings and key == "lm_head.weight"):
            files[key] = value.to(dtype).contiguous()
    model.load_state_dict(dequantized | {key: files[key].float() for key in state if key in files and key not in names}, strict=False)
    ids = torch.randint(3, config.vocab_size, (2, 11))
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    with torch.no_grad():
        logits = model.double()(input_ids=ids, attention_mask=mask).logits
    out.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*config*.json"):
        (out / path.name).write_bytes(path.read_bytes())
    save_file({key: value.clone() for key, value in files.items()}, out / "model.safetensors", metadata={"format": "pt"})
    shown = {f"dequantized.{key}": value.contiguous() for key, value in list(dequantized.items())[:2]}
    save_file(dict(input_ids=ids.int(), attention_mask=mask.int(), logits=logits.float(), **shown), out / "expected.safetensors")
    note = json.loads((HERE / "index.json").read_text())[folder.name]
    expected = dict(note=note, quantization_config=settings, dequantized={key: describe(value) for key, value in dequantized.items()})
    (out / "expected.json").write_text(json.dumps(expected, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("names", nargs="*", default=[])
    options = parser.parse_args()
    for name in options.names or sorted(json.loads((HERE / "index.json").read_text())):
        make(HERE / name, options.out / name, options.seed)
        print(name, flush=True)
