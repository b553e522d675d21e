# What PyTorch gives at the edges: NaN, infinities, ties, zeros. Left out is where it gives NaN for a limit that exists: far
# out for some activations, and √-∞ for a power of ½. Writes elementwise.jsonl, which elementwise.test.ts reads.
#   python3 test/ops/make_elementwise.py      (torch 2.13)
import json
import math
import pathlib

import torch
import torch.nn.functional as F

EDGES = [-math.inf, -3e38, -2.5, -1.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 1e5, 3e38, math.inf, math.nan]


def plain(tensor):
    return [repr(value) for value in tensor.detach().flatten().tolist()]


def case(name, f, *inputs):
    tensors = [torch.tensor(values, dtype=torch.float32, requires_grad=True) for values in inputs]
    y = f(*tensors)
    y.backward(torch.arange(1, y.numel() + 1, dtype=torch.float32).reshape(y.shape))
    gradients = [None if t.grad is None else plain(t.grad) for t in tensors]
    return {"name": name, "inputs": [plain(t) for t in tensors], "shapes": [list(t.shape) for t in tensors],
            "output": plain(y), "shape": list(y.shape), "gradients": gradients}


cases = [
    case("abs", torch.abs, EDGES),
    case("sign", torch.sign, EDGES),
    case("floor", torch.floor, EDGES),
    case("round", torch.round, EDGES),
    case("exp", torch.exp, EDGES),
    case("log", torch.log, EDGES),
    case("sqrt", torch.sqrt, EDGES),
    case("rsqrt", torch.rsqrt, EDGES),
    case("sin", torch.sin, EDGES),
    case("cos", torch.cos, EDGES),
    case("clamp", lambda x: torch.clamp(x, -1, 2), EDGES),
    case("clampMin", lambda x: torch.clamp(x, min=0.5), EDGES),
    *[case(f"pow {p}", lambda x, p=p: torch.pow(x, p), EDGES) for p in (0, 1, 2, 3, -1, 0.75, -2.5)],
    case("pow", torch.pow, [-2.0, -2.0, 0.0, 0.0, 2.0, 1.0, -1.0, 3.0], [2.0, 3.0, 0.0, 2.0, 0.0, 7.0, 5.0, -1.5]),
    case("maximum", torch.maximum, [1.0, 2.0, 3.0, math.nan, 1.0], [2.0, 2.0, 1.0, 1.0, math.nan]),
    case("minimum", torch.minimum, [1.0, 2.0, 3.0, math.nan, 1.0], [2.0, 2.0, 1.0, 1.0, math.nan]),
    case("max", lambda x: torch.amax(x, 1), [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0], [0.0, -1.0, 5.0]]),
    case("min", lambda x: torch.amin(x, 0), [[1.0, 3.0, 3.0], [1.0, 2.0, 2.0], [1.0, -1.0, 5.0]]),
    case("max all", lambda x: torch.amax(x, (0, 1)), [[1.0, math.nan], [2.0, 3.0]]),
    case("cumsum", lambda x: torch.cumsum(x, 0), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    case("topk", lambda x: torch.topk(x, 2, 1)[0], [[1.0, math.nan, 3.0], [2.0, -1.0, 5.0]]),
    case("topk least", lambda x: torch.topk(x, 2, 1, largest=False)[0], [[1.0, math.nan, 3.0], [2.0, -1.0, 5.0]]),
    case("norm", lambda x: torch.linalg.vector_norm(x, 2, 1), [[3.0, 4.0], [0.0, 0.0]]),
    case("norm 1", lambda x: torch.linalg.vector_norm(x, 1, 1), [[3.0, -4.0], [0.0, 0.0]]),
    case("norm inf", lambda x: torch.linalg.vector_norm(x, math.inf, 1), [[3.0, -4.0, 4.0], [0.0, 0.0, 0.0]]),
    case("variance", lambda x: torch.var(x, 1), [[3.0, 4.0, 8.0], [2.0, 2.0, 2.0]]),
    case("variance 0", lambda x: torch.var(x, 1, correction=0), [[3.0, 4.0, 8.0], [2.0, 2.0, 2.0]]),
    case("std", lambda x: torch.std(x, 1), [[3.0, 4.0, 8.0], [2.0, 2.0, 2.0]]),
    case("elu", lambda x: F.elu(x, 1.5), EDGES),
    case("leakyRelu", lambda x: F.leaky_relu(x, 0.2), EDGES),
    case("softplus", lambda x: F.softplus(x, 2.0, 5.0), EDGES),
    case("hardSwish", F.hardswish, EDGES),
    case("mish", F.mish, EDGES[2:-3]),
    case("gelu", F.gelu, EDGES[1:-2]),
    case("geluTanh", lambda x: F.gelu(x, approximate="tanh"), EDGES[2:-3]),
    case("mseLoss", F.mse_loss, [1.0, -2.0, 3.0], [0.5, 2.0, 3.0]),
    case("l1Loss sum", lambda x, t: F.l1_loss(x, t, reduction="sum"), [1.0, -2.0, 3.0], [0.5, 2.0, 3.0]),
    case("smoothL1Loss none", lambda x, t: F.smooth_l1_loss(x, t, reduction="none", beta=0.75),
         [1.0, -2.0, 3.0, 0.75], [0.5, 2.0, 3.0, 0.0]),
    case("bceWithLogits", lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w.detach(), pos_weight=p.detach()),
         [[1.0, -2.0], [60.0, -60.0]], [[0.25, 1.0], [0.0, 1.0]], [[1.0], [2.0]], [3.0, 0.5]),
    case("klDiv batchmean", lambda x, t: F.kl_div(x, t, reduction="batchmean"),
         [[-1.0, -0.5], [-2.0, -0.25]], [[0.25, 0.75], [0.9, 0.1]]),
    case("klDiv log", lambda x, t: F.kl_div(x, t, reduction="mean", log_target=True),
         [[-1.0, -0.5], [-2.0, -0.25]], [[-1.5, -0.2], [-0.1, -3.0]]),
    case("cosineSimilarity", F.cosine_similarity, [[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]], [[4.0, 3.0], [-2.0, 0.0], [1.0, 2.0]]),
]
path = pathlib.Path(__file__).with_name("elementwise.jsonl")
path.write_text("".join(json.dumps(c) + "\n" for c in cases))
