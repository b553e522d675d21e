"""Writes images.jsonl: what torch computes in float64 for small images and sequences, with gradients. Needs torch.

An input is `shape` and `values`. `grads` are the gradients of Σ output·cos(1.3·i + 0.2), i counting output elements.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

cases = []
torch.manual_seed(5)


def show(tensor):
    return {"shape": list(tensor.shape), "values": [float(f"{value:.8g}") for value in tensor.flatten().tolist()]}


def numbers(*shape, step=0.0):
    """Random numbers that are exact in float32; with `step`, multiples of it, of which many are equal."""
    x = torch.randn(*shape, dtype=torch.float64)
    return (x / step).round() * step if step else x.float().double()


def case(op, inputs, options, compute, terms):
    inputs = {name: value.requires_grad_() for name, value in inputs.items()}
    y = compute(**inputs)
    upstream = torch.arange(y.numel(), dtype=torch.float64).mul(1.3).add(0.2).cos().reshape(y.shape)
    grads = torch.autograd.grad(y, list(inputs.values()), upstream)
    cases.append({
        "op": op,
        "options": options,
        "terms": terms,
        "inputs": {name: show(value) for name, value in inputs.items()},
        "output": show(y),
        "grads": {name: show(grad) for name, grad in zip(inputs, grads)},
    })


def pair(value):
    return value if isinstance(value, int) else tuple(value)


def transposed(rank, x, w, bias=True, **options):
    inputs = {"x": numbers(*x), "w": numbers(*w)}
    if bias:
        inputs["bias"] = numbers(w[1] * options.get("groups", 1))
    names = {"outputPadding": "output_padding"}
    given = {names.get(name, name): pair(value) for name, value in options.items()}
    compute = F.conv_transpose1d if rank == 1 else F.conv_transpose2d
    terms = x[1] * x[2] * w[-1] * x[0] * (1 if rank == 1 else x[3])
    case(f"convTranspose{rank}d", inputs, options, lambda x, w, bias=None: compute(x, w, bias, **given), terms)


transposed(1, (2, 3, 5), (3, 4, 3))
transposed(1, (2, 4, 6), (4, 3, 4), stride=2, padding=1, outputPadding=1, groups=2)
transposed(1, (1, 3, 7), (3, 2, 3), stride=3, dilation=2, bias=False)
transposed(2, (2, 3, 4, 5), (3, 4, 2, 2), stride=2)
transposed(2, (2, 4, 3, 4), (4, 3, 3, 2), stride=[2, 3], padding=[1, 0], outputPadding=[1, 2], groups=2)
transposed(2, (1, 6, 4, 3), (6, 1, 3, 3), dilation=[1, 2], padding=1, groups=6, bias=False)
transposed(2, (1, 2, 3, 3), (2, 3, 1, 1))


def pooled(op, x, kernel, step=0.0, **options):
    names = {"ceilMode": "ceil_mode", "countIncludePad": "count_include_pad"}
    given = {names.get(name, name): pair(value) for name, value in options.items()}
    compute = getattr(F, {"max": "max_pool", "avg": "avg_pool"}[op[:3]] + op[-2:])
    case(op, {"x": numbers(*x, step=step)}, {"kernel": kernel, **options}, lambda x: compute(x, pair(kernel), **given), 16)


pooled("maxPool1d", (2, 3, 9), 3, stride=2, padding=1)
pooled("maxPool2d", (2, 3, 7, 8), 3, step=1.0, stride=2, padding=1)
pooled("maxPool2d", (1, 2, 7, 9), [2, 3], stride=[2, 2], dilation=[2, 1], ceilMode=True)
pooled("maxPool2d", (1, 2, 5, 6), 2)
pooled("avgPool1d", (2, 3, 9), 2, ceilMode=True)
pooled("avgPool2d", (2, 3, 7, 5), 2, ceilMode=True)
pooled("avgPool2d", (1, 2, 8, 7), 3, stride=2, padding=1)
pooled("avgPool2d", (1, 2, 8, 7), [3, 2], stride=3, padding=1, ceilMode=True, countIncludePad=False)
for shape, size in [((2, 3, 7), 4), ((1, 2, 3), 5)]:
    case("adaptiveAvgPool1d", {"x": numbers(*shape)}, {"size": size}, lambda x: F.adaptive_avg_pool1d(x, size), 16)
for shape, size in [((2, 3, 5, 7), [2, 3]), ((1, 2, 6, 6), 1), ((1, 2, 3, 2), [4, 3])]:
    case("adaptiveAvgPool2d", {"x": numbers(*shape)}, {"size": size}, lambda x: F.adaptive_avg_pool2d(x, pair(size)), 64)


def resized(x, **options):
    names = {"scaleFactor": "scale_factor", "alignCorners": "align_corners"}
    given = {names.get(name, name): pair(value) if name == "size" else value for name, value in options.items()}
    case("interpolate", {"x": numbers(*x)}, options, lambda x: F.interpolate(x, **given), 32)


resized((1, 2, 5), size=8, mode="linear")
resized((2, 2, 5), scaleFactor=2.5, mode="nearest")
resized((1, 2, 3, 5), size=[7, 4])
resized((1, 2, 4, 6), scaleFactor=1.7, mode="nearest-exact")
resized((1, 2, 4, 5), scaleFactor=1.3, mode="bilinear")
resized((1, 2, 4, 5), scaleFactor=[2.0, 1.5], mode="bilinear", alignCorners=True)
resized((1, 1, 3, 4), size=[1, 9], mode="bilinear", alignCorners=True)
resized((1, 2, 7, 9), size=[3, 4], mode="bilinear", antialias=True)
resized((1, 2, 4, 5), size=[6, 11], mode="bicubic")
resized((1, 2, 4, 5), size=[6, 3], mode="bicubic", alignCorners=True)
resized((1, 2, 9, 11), size=[4, 5], mode="bicubic", antialias=True)
resized((1, 1, 5, 4), size=[8, 3], mode="bicubic", antialias=True)

case("pixelShuffle", {"x": numbers(2, 12, 2, 3)}, {"factor": 2}, lambda x: F.pixel_shuffle(x, 2), 1)
case("pixelUnshuffle", {"x": numbers(2, 2, 6, 3)}, {"factor": 3}, lambda x: F.pixel_unshuffle(x, 3), 1)


def padded(x, sizes, value=0.0):
    case("pad", {"x": numbers(*x)}, {"sizes": sizes, "value": value}, lambda x: F.pad(x, sizes, value=value), 1)


padded((2, 3, 4), [1, 2])
padded((2, 3, 4, 5), [1, 0, 0, 2], 1.5)
padded((2, 3, 4), [-1, 2, 1, -1], -2.0)
padded((2, 4, 3), [0, -1, -1, -2, 1, 0])
for shifts, axes in [([2], [1]), ([1, -2], [-1, 0]), ([-7], [2])]:
    case("roll", {"x": numbers(3, 4, 5)}, {"shifts": shifts, "axes": axes}, lambda x: torch.roll(x, shifts, axes), 1)

for mode, padding, corners in [
    ("bilinear", "zeros", False), ("bilinear", "zeros", True), ("bilinear", "border", False),
    ("bilinear", "border", True), ("nearest", "zeros", False), ("nearest", "border", True),
]:
    inputs = {"x": numbers(2, 3, 4, 5), "grid": numbers(2, 6, 3, 2) * 0.8}
    inputs["grid"] = inputs["grid"].float().double()
    options = {"mode": mode, "paddingMode": padding, "alignCorners": corners}
    case("gridSample", inputs, options,
         lambda x, grid: F.grid_sample(x, grid, mode, padding, corners), 64)

norms = []
for name, shape, options in [
    ("images", (3, 4, 2, 3), {}),
    ("sequences", (2, 3, 5), {"momentum": None, "eps": 1e-3}),
    ("rows", (5, 3), {"affine": False, "momentum": 0.3}),
    ("untracked", (3, 2, 4), {"trackRunningStats": False}),
]:
    names = {"trackRunningStats": "track_running_stats"}
    kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
    module = kind(shape[1], **{names.get(key, key): value for key, value in options.items()}).double()
    if module.affine:
        module.weight.data = numbers(shape[1])
        module.bias.data = numbers(shape[1])
    state = {key: show(value.double()) for key, value in module.state_dict().items()}
    steps = []
    for training in [True, True, False]:
        module.train(training)
        x = (numbers(*shape) * 2 + 1).float().double().requires_grad_()
        y = module(x)
        upstream = torch.arange(y.numel(), dtype=torch.float64).mul(1.3).add(0.2).cos().reshape(y.shape)
        wanted = {"x": x, **dict(module.named_parameters())}
        grads = torch.autograd.grad(y, list(wanted.values()), upstream)
        steps.append({
            "training": training, "x": show(x), "output": show(y),
            "grads": {key: show(grad) for key, grad in zip(wanted, grads)},
            "state": {key: show(value.double()) for key, value in module.state_dict().items()},
        })
    norms.append({"name": name, "channels": shape[1], "options": options, "state": state, "steps": steps})

lines = [{"case": each} for each in cases] + [{"norm": each} for each in norms]
Path(__file__).with_name("images.jsonl").write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
