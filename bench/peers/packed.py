"""Models of int8 in ONNX Runtime and CTranslate2 for bench/int8.ts, driven over a pipe.

Reads one JSON object a line, {"do": name of a function below, "args": {...}}, and answers with what that gives: {"seconds": of
one repeat, ...}, or {} for what only prepares something.
"""

import json
import os
import sys
import time

import numpy as np

held = {}


def timed(repeats, run):
    start = time.perf_counter()
    for _ in range(repeats):
        result = run()
    return (time.perf_counter() - start) / repeats, result


def versions():
    import ctranslate2
    import onnxruntime

    return {"ONNX Runtime": onnxruntime.__version__, "CTranslate2": ctranslate2.__version__}


def onnx(name, path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    held[name] = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {}


def padded(rows):
    ids = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def embed(name, batches, repeats):
    """Means of the tokens' vectors, of length 1."""

    def run():
        for rows in batches:
            ids, mask = padded(rows)
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (hidden,) = held[name].run(None, inputs)
            means = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
            vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
        return vectors

    seconds, vectors = timed(repeats, run)
    return {"seconds": seconds, "sample": vectors[0].tolist()}


def whisper(name, folder, compute, threads):
    import ctranslate2

    held[name] = ctranslate2.models.Whisper(folder, device="cpu", compute_type=compute, intra_threads=threads)
    return {}


def features(bins, frames, period):
    import ctranslate2

    values = np.arange(bins * frames) % period * (2 / period) - 1
    return ctranslate2.StorageView.from_array(values.reshape(1, bins, frames).astype(np.float32))


def listen(name, bins, frames, period, repeats):
    x = features(bins, frames, period)
    seconds, encoded = timed(repeats, lambda: held[name].encode(x, to_cpu=True))
    held["encoded"] = encoded
    return {"seconds": seconds}


def write(name, prompt, end, tokens, repeats):
    def run():
        return held[name].generate(
            held["encoded"],
            [prompt],
            beam_size=1,
            max_length=2 * tokens,  # of which it writes half
            suppress_tokens=[end],
            suppress_blank=False,
        )

    seconds, result = timed(repeats, run)
    return {"seconds": seconds, "tokens": len(result[0].sequences_ids[0])}


def translator(folder, threads, computes, layers, heads, width, hidden, vocabulary):
    """The paper's model with weights drawn here: what they are makes no difference to the time."""
    import ctranslate2
    from ctranslate2.specs import TransformerSpec

    random = np.random.default_rng(1)

    def draw(*shape):
        return (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    def norm(at):
        at.gamma, at.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def linear(at, outputs, inputs):
        at.weight, at.bias = draw(outputs, inputs), np.zeros(outputs, np.float32)

    def attention(at, crosses):
        norm(at.layer_norm)
        for part, outputs in zip(at.linear, [1, 2, 1] if crosses else [3, 1]):
            linear(part, outputs * width, width)

    spec = TransformerSpec.from_config(layers, heads, pre_norm=False)
    spec.encoder.embeddings[0].weight = draw(vocabulary, width)
    spec.decoder.embeddings.weight = draw(vocabulary, width)
    spec.decoder.projection.weight = draw(vocabulary, width)
    positions = draw(256, width)
    spec.encoder.position_encodings.encodings = positions
    spec.decoder.position_encodings.encodings = positions
    for side in [spec.encoder, spec.decoder]:
        if hasattr(side, "layer_norm"):
            norm(side.layer_norm)
        for layer in side.layer:
            attention(layer.self_attention, False)
            if hasattr(layer, "attention"):
                attention(layer.attention, True)
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, hidden, width)
            linear(layer.ffn.linear_1, width, hidden)
    words = ["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(3, vocabulary)]
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    spec.validate()
    spec.optimize()
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)
    for compute in computes:
        held[compute] = ctranslate2.Translator(folder, device="cpu", compute_type=compute, intra_threads=threads)
    return {}


def translate(compute, sources, beams, tokens, repeats):
    words = [[f"w{i}" for i in row] for row in sources]

    def run():
        lengths = {"max_decoding_length": tokens, "min_decoding_length": tokens}
        return held[compute].translate_batch(words, beam_size=beams, max_batch_size=len(words), **lengths)

    seconds, result = timed(repeats, run)
    return {"seconds": seconds, "tokens": len(result[0].hypotheses[0])}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(globals()[asked["do"]](**asked["args"])), flush=True)
