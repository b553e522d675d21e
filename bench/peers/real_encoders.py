"""Encoders of real sizes in ONNX Runtime and OpenVINO for bench/real-encoders.ts, driven over a pipe.

Reads one JSON object a line, {"do": name of a function below, "args": {...}}, and answers with a JSON object.
"""

import json
import os
import sys
import time
import warnings

import numpy
import onnxruntime
import openvino
import torch
import transformers

warnings.filterwarnings("ignore")
loaded = {}


def versions():
    return {"ONNX Runtime": onnxruntime.__version__, "OpenVINO": openvino.__version__.split("-")[0],
            "transformers": transformers.__version__}


def values(name, shape, below):
    """i % 1021, scaled to ±1, or ids below a number."""
    count = int(numpy.prod(shape))
    if below is not None:
        return (numpy.arange(count, dtype=numpy.int64) * 7919 % below).reshape(shape)
    return ((numpy.arange(count) % 1021) * (2 / 1021) - 1).astype(numpy.float32).reshape(shape)


def make(folder, model, config, inputs, part):
    """Saves a model with random weights in `folder`, and its graph as model.onnx. Keeps what an earlier run made."""
    if os.path.exists(folder):
        return {}
    torch.manual_seed(1)
    kind = getattr(transformers, model)
    made = kind(kind.config_class(**config)).eval()
    working = f"{folder}.unfinished"
    made.save_pretrained(working)
    if inputs is not None:
        export(made.get_encoder() if part == "encoder" else made, inputs, f"{working}/model.onnx")
    os.rename(working, folder)
    return {}


def export(model, inputs, path):
    names = list(inputs)

    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *given):
            return self.model(**dict(zip(names, given))).last_hidden_state

    given = tuple(torch.from_numpy(values(name, **inputs[name])) for name in names)
    with torch.inference_mode():
        torch.onnx.export(Named().eval(), given, path, input_names=names, output_names=["y"], opset_version=17, dynamo=False)


def load(folder, threads, kind, config):
    """Prepares both peers as their documentation advises: ONNX Runtime with its optimizer of transformers."""
    path = f"{folder}/model.onnx"
    if kind is not None:
        from onnxruntime.transformers import optimizer

        fused = optimizer.optimize_model(path, model_type=kind, num_heads=config["num_attention_heads"],
                                         hidden_size=config["hidden_size"])
        path = f"{folder}/fused.onnx"
        fused.save_model_to_file(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(f"{folder}/model.onnx", "CPU", settings).create_infer_request()
    loaded["ONNX Runtime"] = lambda given: session.run(None, given)[0]
    loaded["OpenVINO"] = lambda given: compiled.infer(given)[0]
    return {}


def run(name, inputs, repeats):
    given = {key: values(key, **shape) for key, shape in inputs.items()}
    start = time.perf_counter()
    for _ in range(repeats):
        y = loaded[name](given)
    seconds = (time.perf_counter() - start) / repeats
    flat = numpy.asarray(y).reshape(-1)
    return {"seconds": seconds, "sample": flat[numpy.arange(64) * 104729 % flat.size].tolist()}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(globals()[asked["do"]](**asked["args"])), flush=True)
