"""Writes precision.json: vectors and what sentence-transformers' quantize_embeddings makes of them."""
import json, pathlib
import numpy as np
from sentence_transformers.util.quantization import quantize_embeddings

vectors = np.random.default_rng(5).standard_normal((7, 19)).astype(np.float32)
vectors[:, 3] = 0.25  # a feature without a range
vectors[2, 5] = 0.0
result = {"vectors": vectors.astype(float).tolist()}
for precision in ["int8", "uint8", "binary", "ubinary"]:
    result[precision] = quantize_embeddings(vectors, precision=precision).tolist()
pathlib.Path(__file__).with_name("precision.json").write_text(json.dumps(result))
