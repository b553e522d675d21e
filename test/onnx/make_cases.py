"""Writes cases.json.gz: ONNX's published node cases for operators of Transformers, with the outputs of its reference.

    pip install onnx==1.23.2 && python test/onnx/make_cases.py

Every case is {op, name, attributes, inputs, outputs}; an input or output that is left out is null, others are {type,
shape, data}: type is that of the case, data are base64 of float32, or of int32 for integers. Attention has its own file.
"""
import base64
import gzip
import json
import pathlib

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

np.random.seed(0)
OPERATORS = [
    "LayerNormalization", "RMSNormalization", "RotaryEmbedding", "Softmax", "LogSoftmax", "Gelu", "MatMul", "Gemm",
    "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss",
]


def tensor(array):
    number = np.int32 if array.dtype.kind in "bi" else np.float32
    data = base64.b64encode(np.ascontiguousarray(array, dtype=number).tobytes()).decode()
    return {"type": str(array.dtype), "shape": list(array.shape), "data": data}


def listed(given, arrays):
    rest = iter(arrays)
    return [tensor(next(rest)) if name else None for name in given]


def value_of(attribute):
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def case_of(case):
    (node,) = case.model.graph.node
    (inputs, outputs), = case.data_sets
    return {
        "op": node.op_type,
        "name": case.name,
        "attributes": {a.name: value_of(a) for a in node.attribute},
        "inputs": listed(node.input, inputs),
        "outputs": listed(node.output, outputs),
    }


# The cases named _expanded are the same numbers, for the graphs of other operators that these are defined by.
singles = [c for c in collect_testcases(None) if len(c.model.graph.node) == 1 and "_expanded" not in c.name]
cases = [case_of(c) for c in singles if c.model.graph.node[0].op_type in OPERATORS]
text = json.dumps({"onnx": onnx.__version__, "cases": cases})
target = pathlib.Path(__file__).with_name("cases.json.gz")
target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
print({op: sum(c["op"] == op for c in cases) for op in OPERATORS}, len(cases), "cases,", target.stat().st_size, "bytes")
