#!/usr/bin/env python3
"""Writes onnx-distances.json.gz: DeBERTa v2 models that ONNX Runtime has optimized, and what it computes with them.

  pip install torch==2.13.0 transformers==5.24.0 onnx onnxruntime && python3 make_onnx_distances.py

The optimizer folds the keys and the queries of distances. Files are in base64: o1 and o2 are ONNX Runtime's levels "basic" and
"extended", float16 is its transformer optimizer with convert_float_to_float16. Outputs of padding are 0.
"""
import base64
import gzip
import json
import pathlib
import tempfile

import onnxruntime
import torch
from onnxruntime.transformers import optimizer
from transformers import DebertaV2Config, DebertaV2Model

LEVELS = {
    "o1": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "o2": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
}
IDS, MASK = [[5, 9, 2, 7, 3, 8, 6], [6, 4, 10, 1, 5, 0, 0]], [[1] * 7, [1] * 5 + [0] * 2]


def case(seed, names=("o2",), **settings):
    torch.manual_seed(seed)
    config = DebertaV2Config(
        vocab_size=11, hidden_size=6, num_attention_heads=2, intermediate_size=4, num_hidden_layers=1, initializer_range=0.3,
        max_position_embeddings=16, position_buckets=3, relative_attention=True, norm_rel_ebd="layer_norm", type_vocab_size=0,
        position_biased_input=False, **settings)
    model = DebertaV2Model(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    feeds = {"input_ids": torch.tensor(IDS), "attention_mask": torch.tensor(MASK)}
    with tempfile.TemporaryDirectory() as folder:
        at = {name: f"{folder}/{name}.onnx" for name in ("plain", *LEVELS, "float16")}
        torch.onnx.export(
            model, tuple(feeds.values()), at["plain"], input_names=list(feeds), output_names=["last_hidden_state"],
            dynamic_axes={name: {0: "batch", 1: "length"} for name in feeds}, opset_version=17, dynamo=False)
        for name, level in LEVELS.items():
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level, options.optimized_model_filepath = level, at[name]
            onnxruntime.InferenceSession(at["plain"], options)
        half = optimizer.optimize_model(at["plain"], model_type="bert", num_heads=2, hidden_size=6, opt_level=1)
        half.convert_float_to_float16()
        half.save_model_to_file(at["float16"])
        files = {}
        for name in names:
            session = onnxruntime.InferenceSession(at[name])
            (output,) = session.run(None, {key: value.numpy() for key, value in feeds.items()})
            output = output * feeds["attention_mask"][..., None].numpy()
            text = base64.b64encode(pathlib.Path(at[name]).read_bytes()).decode()
            files[name] = {"file": text, "output": output.astype("f4").flatten().tolist()}
    return {"config": json.loads(config.to_json_string()), "files": files}


cases = {
    "shared projections": case(1, ("o1", "o2", "float16"), share_att_key=True, pos_att_type=["p2c", "c2p"]),
    "separate projections": case(2, share_att_key=False, pos_att_type=["p2c", "c2p"]),
    "keys alone": case(3, share_att_key=True, pos_att_type=["c2p"]),
    "queries alone": case(4, share_att_key=False, pos_att_type=["p2c"]),
}
here = pathlib.Path(__file__).parent
with gzip.GzipFile(here / "onnx-distances.json.gz", "wb", mtime=0) as file:
    file.write(json.dumps({"ids": IDS, "mask": MASK, "cases": cases}).encode())
