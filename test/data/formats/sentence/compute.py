#!/usr/bin/env python3
"""Loads the folders beside this file with sentence-transformers again, and compares the results with expected.json.

  pip install torch==2.13.0 transformers==5.24.0 sentence-transformers==6.2.0 && python3 compute.py [FOLDER ...]

Weights are converted to float64. For each folder and method, the largest difference is printed. bge-m3, model2vec and
qwen3-reranker belong to other libraries and are left out. colbert-pylate and colbert-stanford were also computed by PyLate.
"""
import argparse
import json
import pathlib
import warnings

import numpy as np
import sentence_transformers
import torch

warnings.simplefilter("ignore")
HERE = pathlib.Path(__file__).parent
OTHER_LIBRARIES = {"bge-m3", "model2vec", "qwen3-reranker"}


def numbers(value):
    """Nested lists of a result of any kind."""
    if torch.is_tensor(value):
        value = value.coalesce().to_dense() if value.is_sparse else value
        return value.double().cpu().numpy().tolist()
    if isinstance(value, np.ndarray):
        return value.astype(float).tolist()
    return [numbers(each) for each in value] if isinstance(value, (list, tuple)) else value


def sparse(stored, size):
    """Rows of [index, value] as dense rows."""
    rows = np.zeros((len(stored), size))
    for row, pairs in zip(rows, stored):
        for index, value in pairs:
            row[index] = value
    return rows.tolist()


def difference(stored, found):
    if isinstance(stored, list):
        assert len(stored) == len(found), f"{len(found)} values, expected {len(stored)}"
        return max((difference(a, b) for a, b in zip(stored, found)), default=0)
    return abs(stored - found)


def methods(folder, expected):
    """Names in expected.json, and the values that the library computes for them."""
    queries, documents, texts = (expected.get(name) for name in ("queries", "documents", "texts"))
    if "predict" in expected:
        model = sentence_transformers.CrossEncoder(str(folder), device="cpu").double()
        yield "predict", model.predict(expected["pairs"])
    elif "encode_query_sparse" in expected:
        model = sentence_transformers.SparseEncoder(str(folder), device="cpu").double()
        yield "encode_query_sparse", model.encode_query(queries)
        yield "encode_document_sparse", model.encode_document(documents)
    elif expected.get("similarity_fn_name") == "maxsim":
        model = sentence_transformers.MultiVectorEncoder(str(folder), device="cpu").double()
        yield "encode_query", model.encode_query(queries)
        yield "encode_document", model.encode_document(documents)
    else:
        cut = 12 if folder.name == "truncate-dim" else None  # an option of loading, which no file of a folder has
        model = sentence_transformers.SentenceTransformer(str(folder), device="cpu", truncate_dim=cut).double()
        encoded = [model.encode_query(queries), model.encode_document(documents)]
        yield from zip(["encode_query", "encode_document"], encoded)
        yield "encode", model.encode(texts)
        yield "similarity", model.similarity(*encoded)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="*", type=pathlib.Path)
given = parser.parse_args()
for folder in given.folders or sorted(path for path in HERE.iterdir() if path.is_dir()):
    if folder.name in OTHER_LIBRARIES:
        continue
    expected = json.loads((folder / "expected.json").read_text())
    differences = []
    for name, value in methods(folder, expected):
        stored = sparse(expected[name], expected["dim"]) if name.endswith("_sparse") else expected[name]
        differences.append(f"{name} {difference(stored, numbers(value)):.0e}")
    print(f"{folder.name}: {', '.join(differences)}", flush=True)
