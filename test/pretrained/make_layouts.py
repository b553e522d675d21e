"""Makes layouts.json for layouts.test.ts: matrices in rarer layouts of GPTQ, AWQ, compressed-tensors, FP8 and bitsandbytes.

Needs numpy, torch, compressed-tensors 0.20 and bitsandbytes 0.50. GPTQ and AWQ are packed here, by the loops of AutoGPTQ and
AutoAWQ; the other cases are packed by their libraries. Each case has the tensors of one matrix, the quantization_config, and
the SHA-256 of the dequantized float32 values. For compressed-tensors they are checked against the library's own result.
"""
import argparse
import base64
import hashlib
import json

import numpy as np
import torch

NAMES = {torch.int32: "I32", torch.int64: "I64", torch.int8: "I8", torch.uint8: "U8", torch.float16: "F16",
         torch.bfloat16: "BF16", torch.float32: "F32", torch.float8_e4m3fn: "F8_E4M3"}
rng = np.random.default_rng(48)
cases = {}


def add(name, config, tensors, expected):
    def store(tensor):
        tensor = tensor.contiguous()
        raw = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data": base64.b64encode(raw).decode()}

    values = expected.to(torch.float32).contiguous().numpy() + np.float32(0)  # no negative zeros
    cases[name] = {"config": config, "tensors": {key: store(value) for key, value in tensors.items()},
                   "shape": list(values.shape), "sha256": hashlib.sha256(values.tobytes()).hexdigest()}


def words(codes, bits):
    """Rows of codes as a stream of bits, the low bits of each 32-bit word first."""
    rows, count = codes.shape
    out = np.zeros((rows, -(-count * bits // 32)), dtype=np.uint64)
    for i in range(count):
        bit = i * bits
        code = codes[:, i].astype(np.uint64)
        out[:, bit // 32] |= (code << np.uint64(bit % 32)) & np.uint64(0xFFFFFFFF)
        if bit % 32 + bits > 32:
            out[:, bit // 32 + 1] |= code >> np.uint64(32 - bit % 32)
    return torch.from_numpy(out.astype(np.uint32).view(np.int32).copy())


def gptq(name, bits, inputs, outputs, group, sym=False, desc_act=False, version=1, dtype=torch.float16, top=False, config=None):
    size = inputs if group == -1 else group
    groups = -(-inputs // size)
    q = rng.integers(0, 2**bits, (inputs, outputs))
    zeros = np.full((groups, outputs), 2 ** (bits - 1)) if sym else rng.integers(0 if top else 1, 2**bits, (groups, outputs))
    scales = torch.from_numpy(rng.uniform(0.01, 0.1, (groups, outputs)).astype(np.float32)).to(dtype)
    g_idx = np.arange(inputs) // size
    if desc_act:
        g_idx = rng.permutation(g_idx)
    stored = (zeros - 1) % 2**bits if version == 1 else zeros
    expected = (torch.from_numpy(q - zeros[g_idx]).float() * scales.float()[torch.from_numpy(g_idx)]).T
    tensors = {"m.qweight": words(q.T, bits).T, "m.qzeros": words(stored, bits), "m.scales": scales,
               "m.g_idx": torch.from_numpy(g_idx.astype(np.int32))}
    own = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": desc_act,
           "checkpoint_format": "gptq" if version == 1 else "gptq_v2"}
    add(name, {**own, **(config or {})}, tensors, expected)


def awq(name, inputs, outputs, group, dtype=torch.float16, config=None):
    size = inputs if group == -1 else group
    q = rng.integers(0, 16, (inputs, outputs))
    zeros = rng.integers(0, 16, (inputs // size, outputs))
    scales = torch.from_numpy(rng.uniform(0.01, 0.1, zeros.shape).astype(np.float32)).to(dtype)
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def pack(codes):
        out = np.zeros((codes.shape[0], codes.shape[1] // 8), dtype=np.uint32)
        for i, each in enumerate(order):
            out |= codes[:, each::8].astype(np.uint32) << np.uint32(4 * i)
        return torch.from_numpy(out.view(np.int32).copy())

    index = np.arange(inputs) // size
    expected = (torch.from_numpy(q - zeros[index]).float() * scales.float()[torch.from_numpy(index)]).T
    own = {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm"}
    tensors = {"m.qweight": pack(q), "m.qzeros": pack(zeros), "m.scales": scales}
    add(name, {**own, **(config or {})}, tensors, expected)


def compressed(name, fmt, rows, columns, scale_dtype=torch.bfloat16, **args):
    from compressed_tensors.compressors.base import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.lifecycle.forward import dequantize
    from compressed_tensors.quantization.utils import calculate_range

    given = QuantizationArgs(**args)
    scheme = QuantizationScheme(targets=["Linear"], weights=given)
    compressor = BaseCompressor.get_value_from_registry(fmt)
    weight = torch.from_numpy(rng.normal(0, 1, (rows, columns)).astype(np.float32))
    strategy = given.strategy
    shape = {"channel": (rows, 1), "tensor": (1,), "group": (rows, columns // (given.group_size or 1)),
             "tensor_group": (rows, columns // (given.group_size or 1))}.get(strategy)
    if strategy == "block":
        shape = tuple(-(-n // size) for n, size in zip((rows, columns), given.block_structure))
    low, high = calculate_range(given, "cpu")
    scale = torch.from_numpy(rng.uniform(0.7, 1.4, shape).astype(np.float32)) * (2.5 / float(high))
    state = {"weight": weight}
    if fmt.startswith("mx"):
        scale = 2.0 ** torch.floor(torch.log2(scale))
    if fmt.startswith("nvfp4"):
        state["weight_global_scale"] = torch.tensor([37.5])
        scale = (scale * 37.5).to(torch.float8_e4m3fn).float()
    else:
        scale = scale.to(scale_dtype).float()
    state["weight_scale"] = scale
    if not given.symmetric:
        state["weight_zero_point"] = torch.from_numpy(rng.integers(int(low), int(high) + 1, shape).astype(np.int8))
    packed = compressor.compress(state, scheme)
    restored = compressor.decompress(packed, scheme)["weight"].float()
    stored = dict(packed)
    if stored["weight_scale"].dtype == torch.float32:
        stored["weight_scale"] = stored["weight_scale"].to(scale_dtype)
    if fmt.startswith("nvfp4"):  # the library rounds to bfloat16
        from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
        codes = unpack_fp4_from_uint8(packed["weight_packed"], rows, columns, dtype=torch.float32)
        exact = codes * (scale / 37.5).repeat_interleave(given.group_size, 1)
        assert torch.allclose(exact, restored, rtol=2**-7), name
        restored = exact
    config = {"quant_method": "compressed-tensors", "format": fmt,
              "config_groups": {"group_0": {"targets": ["Linear"], "weights": json.loads(given.model_dump_json())}}}
    add(name, config, {f"m.{key}": value for key, value in stored.items()}, restored)


def fp8(name, method, rows, columns, block=None):
    shape = (rows, 1) if block is None else tuple(-(-n // size) for n, size in zip((rows, columns), block))
    weight = torch.from_numpy(rng.normal(0, 100, (rows, columns)).astype(np.float32)).to(torch.float8_e4m3fn)
    scale = torch.from_numpy(rng.uniform(0.001, 0.01, shape).astype(np.float32))
    height, width = block or (1, columns)
    spread = scale.repeat_interleave(height, 0).repeat_interleave(width, 1)[:rows, :columns]
    suffix = "weight_scale" if block is None else "weight_scale_inv"
    config = {"quant_method": method, **({"weight_block_size": list(block)} if block else {})}
    add(name, config, {"m.weight": weight, f"m.{suffix}": scale}, weight.float() * spread)


def bits_and_bytes(name, rows, columns, kind, block, nested, storage):
    from bitsandbytes import functional

    weight = torch.from_numpy(rng.normal(0, 0.05, (rows, columns)).astype(np.float32))
    packed, state = functional.quantize_4bit(weight, blocksize=block, compress_statistics=nested, quant_type=kind,
                                             quant_storage=storage)
    tensors = {"m.weight": packed, **{f"m.weight.{key}": value for key, value in state.as_dict(packed=True).items()}}
    add(name, {"quant_method": "bitsandbytes", "load_in_4bit": True}, tensors, functional.dequantize_4bit(packed, state))


def main(out):
    gptq("GPTQ, 2 bits", 2, 64, 16, 32)
    gptq("GPTQ, 3 bits", 3, 64, 32, 32)
    gptq("GPTQ, 3 bits in order of activations", 3, 64, 32, 32, desc_act=True)
    gptq("GPTQ, 3 bits, version 2", 3, 96, 32, -1, version=2)
    gptq("GPTQ, 4 bits, zero points from 0 on", 4, 64, 16, 32, top=True)
    gptq("GPTQ, 4 bits, one group, symmetric, bfloat16", 4, 96, 16, -1, sym=True, dtype=torch.bfloat16)
    gptq("GPTQ, 4 bits, groups that do not divide the inputs", 4, 160, 8, 128)
    gptq("GPTQ, 4 bits in a file of 8 bits", 4, 64, 8, 32, config={"bits": 8})
    gptq("GPTQ, 8 bits, zero points, in order of activations", 8, 64, 8, 32, desc_act=True)
    awq("AWQ, one group, bfloat16", 64, 16, -1, dtype=torch.bfloat16)
    awq("AWQ, groups of 64, keys of AutoAWQ's older files", 128, 8, 64,
        config={"bits": None, "w_bit": 4, "group_size": None, "q_group_size": 64, "version": "GEMM"})
    packed = "pack-quantized"
    for bits in [2, 3, 5, 7]:
        compressed(f"compressed-tensors, {bits} bits", packed, 16, 96, num_bits=bits, strategy="group", group_size=32)
    compressed("compressed-tensors, 3 bits with zero points", packed, 16, 64, num_bits=3, symmetric=False,
               strategy="group", group_size=32)
    compressed("compressed-tensors, 4 bits for a tensor", packed, 16, 64, num_bits=4, strategy="tensor")
    compressed("compressed-tensors, 4 bits with zero points of channels, float16", packed, 16, 36, torch.float16, num_bits=4,
               symmetric=False, strategy="channel")
    compressed("compressed-tensors, int8 in groups", "int-quantized", 8, 64, num_bits=8, strategy="group", group_size=32)
    compressed("compressed-tensors, int8 of 96 inputs", "int-quantized", 20, 96, num_bits=8, strategy="channel")
    compressed("compressed-tensors, int8 with zero points", "int-quantized", 8, 64, num_bits=8, symmetric=False,
               strategy="channel")
    compressed("compressed-tensors, float8 in blocks", "float-quantized", 40, 72, num_bits=8, type="float", strategy="block",
               block_structure=[32, 32])
    compressed("compressed-tensors, NVFP4", "nvfp4-pack-quantized", 8, 64, num_bits=4, type="float", strategy="tensor_group",
               group_size=16)
    compressed("compressed-tensors, MXFP4", "mxfp4-pack-quantized", 8, 64, num_bits=4, type="float", strategy="group",
               group_size=32, scale_dtype=torch.uint8)
    compressed("compressed-tensors, MXFP8", "mxfp8-quantized", 8, 64, num_bits=8, type="float", strategy="group",
               group_size=32, scale_dtype=torch.uint8)
    fp8("FP8 in blocks that do not divide the matrix", "fp8", 40, 72, (32, 32))
    fp8("FBGEMM's FP8", "fbgemm_fp8", 16, 32)
    bits_and_bytes("bitsandbytes, NF4 stored as bfloat16", 8, 64, "nf4", 64, False, torch.bfloat16)
    bits_and_bytes("bitsandbytes, FP4 in blocks of 128, nested", 16, 128, "fp4", 128, True, torch.uint8)
    with open(out, "w") as file:
        json.dump(cases, file, indent=None, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="test/pretrained/layouts.json")
    main(parser.parse_args().out)
