"""Writes attention.json.gz: ONNX's published node cases for Attention, with the outputs of ONNX's own reference.

    pip install onnx==1.23.2 && python test/onnx/make_attention.py

Every case is {name, opset, attributes, inputs, outputs}; inputs and outputs by their formal names, each {type, shape,
data}: type is that of the case, data are base64 of float32, or of int32 for integers and booleans.
"""
import base64
import gzip
import json
import pathlib

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

np.random.seed(0)
INPUTS = ["Q", "K", "V", "attn_mask", "past_key", "past_value", "nonpad_kv_seqlen"]
OUTPUTS = ["Y", "present_key", "present_value", "qk_matmul_output"]


def tensor(array):
    number = np.int32 if array.dtype.kind in "bi" else np.float32
    data = base64.b64encode(np.ascontiguousarray(array, dtype=number).tobytes()).decode()
    return {"type": str(array.dtype), "shape": list(array.shape), "data": data}


def named(formal, given, arrays):
    present = [name for name, actual in zip(formal, given) if actual]
    return {name: tensor(array) for name, array in zip(present, arrays, strict=True)}


def case_of(case):
    (node,) = case.model.graph.node
    (inputs, outputs), = case.data_sets
    return {
        "name": case.name,
        "opset": case.model.opset_import[0].version,
        "attributes": {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute},
        "inputs": named(INPUTS, node.input, inputs),
        "outputs": named(OUTPUTS, node.output, outputs),
    }


# The cases named _expanded are the same numbers, for the graphs of other operators that Attention is defined by.
cases = [case_of(c) for c in collect_testcases("Attention") if "_expanded" not in c.name]
text = json.dumps({"onnx": onnx.__version__, "cases": cases})
target = pathlib.Path(__file__).with_name("attention.json.gz")
target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
print(len(cases), "cases,", target.stat().st_size, "bytes")
