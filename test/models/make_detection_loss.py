"""Writes detection-loss.json: losses of transformers' detectors for targets, with digests of all gradients, in float64.

It also writes pairs of scipy's linear_sum_assignment, and denoising queries for given random numbers. Needs torch,
transformers and scipy.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy
import torch
import transformers
from safetensors.torch import load_file
from scipy.optimize import linear_sum_assignment
from transformers import DetrForObjectDetection, DetrForSegmentation, RfDetrForObjectDetection, RTDetrForObjectDetection
from transformers.models.rt_detr import modeling_rt_detr

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
transformers.utils.logging.disable_progress_bar()
here = Path(__file__).parent
folders = dict(detr_panoptic="detr-panoptic")
classes = dict(detr=DetrForObjectDetection, detr_panoptic=DetrForSegmentation, rt_detr=RTDetrForObjectDetection, rf_detr=RfDetrForObjectDetection)
torch.manual_seed(3)


def objects(count):
    boxes = torch.cat([torch.rand(count, 2) * 0.5 + 0.25, torch.rand(count, 2) * 0.4 + 0.1], 1)
    return dict(class_labels=torch.randint(0, 4, (count,)), boxes=boxes)


def repeated(target, times):
    return dict(class_labels=target["class_labels"].repeat(times), boxes=target["boxes"].repeat(times, 1))


def with_masks(target, height, width):
    """Rectangles, of which some overlap."""
    masks = torch.zeros(len(target["boxes"]), height, width)
    for mask, (x, y, w, h) in zip(masks, target["boxes"]):
        mask[int((y - h / 2) * height) : int((y + h / 2) * height) + 1, int((x - w / 2) * width) : int((x + w / 2) * width) + 1] = 1
    return dict(target, masks=masks)


three, one, none = objects(3), objects(1), objects(0)
twins, many = repeated(objects(2), 2), objects(9)  # equal objects; more objects than queries
no_noise = dict(num_denoising=8, label_noise_ratio=0.0, box_noise_scale=0.0)
WANTED = [
    ("detr", dict(), False, [three, one]),
    ("detr", dict(auxiliary_loss=True), False, [three, one]),
    ("detr", dict(auxiliary_loss=True), True, [twins, many]),
    ("detr", dict(class_cost=3, bbox_cost=1, giou_cost=4, bbox_loss_coefficient=2, giou_loss_coefficient=7, eos_coefficient=0.3), True, [three, none]),
    ("detr", dict(), False, [none, none]),
    ("rt_detr", dict(), False, [three, one]),
    ("rt_detr", dict(auxiliary_loss=True), True, [three, one]),
    ("rt_detr", dict(auxiliary_loss=True, use_focal_loss=False, focal_loss_alpha=0.5, focal_loss_gamma=1.5, weight_loss_vfl=0.7, weight_loss_bbox=2.0, weight_loss_giou=3.0), True, [three, none]),
    ("rt_detr", dict(auxiliary_loss=True, matcher_class_cost=1.0, matcher_bbox_cost=2.0, matcher_giou_cost=0.5, matcher_alpha=0.4, matcher_gamma=1.0), False, [twins, many]),
    ("rt_detr", dict(auxiliary_loss=True, **no_noise), True, [three, one]),
    ("rt_detr", dict(auxiliary_loss=True, **{**no_noise, "num_denoising": 1}), True, [three, none]),
    ("rt_detr", dict(auxiliary_loss=False, **no_noise), True, [one, twins]),
    ("rt_detr", dict(auxiliary_loss=True, **no_noise), True, [none, none]),
    ("rf_detr", dict(), False, [three, one]),
    ("rf_detr", dict(auxiliary_loss=True), True, [three, one]),
    ("rf_detr", dict(auxiliary_loss=True, class_cost=1.0, bbox_cost=2.0, giou_cost=1.0, focal_alpha=0.4, class_loss_coefficient=0.5, bbox_loss_coefficient=1.0, giou_loss_coefficient=4.0), True, [twins, none]),
    ("rf_detr", dict(auxiliary_loss=True), False, [many, three]),
    ("rf_detr", dict(auxiliary_loss=True), True, [none, none]),
    ("detr_panoptic", dict(), False, [with_masks(dict(three, class_labels=three["class_labels"] % 3), 9, 12), with_masks(dict(one, class_labels=one["class_labels"] % 3), 11, 7)]),
    ("detr_panoptic", dict(auxiliary_loss=True, mask_loss_coefficient=3, dice_loss_coefficient=2), False, [with_masks(none, 5, 5), with_masks(dict(one, class_labels=one["class_labels"] % 3), 30, 23)]),
]


def in_files(model):
    """Gradients by the names of save_pretrained."""
    tensors = [*model.parameters(), *model.buffers()]
    values = [tensor.data for tensor in tensors]
    for tensor in tensors:
        tensor.data = torch.zeros_like(tensor, dtype=torch.float64) if tensor.grad is None else tensor.grad
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        found = load_file(Path(folder) / "model.safetensors")
    for tensor, value in zip(tensors, values):
        tensor.data = value
    return {name: tensor for name, tensor in found.items() if tensor.is_floating_point()}


def digest(tensor):
    """The norm, and the product with cosines of the indices."""
    flat = tensor.double().flatten()
    return [flat.norm().item(), (flat * torch.cos(torch.arange(flat.numel()).double())).sum().item()]


def loss_of(name, changes, training, targets, dtype):
    folder = here / "../data/families" / folders.get(name, name)
    pixels = load_file(folder / "reference.safetensors")["pixel_values"]
    model = classes[name].from_pretrained(folder, attn_implementation="eager", **changes).to(dtype).train(training)
    embedding = getattr(getattr(model, "model", None), "denoising_class_embed", None)
    if embedding is not None:
        rows, columns = embedding.weight.shape
        embedding.weight.data = torch.sin(0.7 * torch.arange(rows)[:, None] + 1.3 * torch.arange(columns) + 1).to(dtype)
    labels = [{key: value.to(dtype) if value.is_floating_point() else value for key, value in each.items()} for each in targets]
    torch.set_default_dtype(dtype)
    loss = model(pixel_values=pixels.to(dtype), labels=labels).loss
    loss.backward()
    torch.set_default_dtype(torch.float32)
    return loss.item(), {key: digest(value) for key, value in in_files(model).items()}


def short(numbers):
    return [float(f"{number:.9g}") for number in numbers]


cases = []
for name, changes, training, targets in WANTED:
    loss, digests = loss_of(name, changes, training, targets, torch.float64)
    rounded_loss, rounded = loss_of(name, changes, training, targets, torch.float32)
    most = max(norm for norm, _ in digests.values())
    error = max(abs(a - b) / max(digests[key][0], 1e-3 * most) for key in digests for a, b in zip(digests[key], rounded[key])) if most > 0 else 0
    cases.append(dict(
        name=name, changes=changes, training=training,
        labels=[dict(
            classLabels=each["class_labels"].tolist(), boxes=each["boxes"].tolist(), **({"masks": each["masks"].int().tolist()} if "masks" in each else {}),
        ) for each in targets],
        loss=loss, error=float(f"{error:.2g}"), gradients={key: [float(f"{number:.6g}") for number in value] for key, value in digests.items() if value[0] > 1e-7 * most},
    ))
    print(name, changes, training, loss, rounded_loss, error)

generator = numpy.random.default_rng(5)
assignments = []
for rows, columns in [(1, 1), (3, 3), (2, 5), (5, 2), (4, 4), (6, 6), (3, 9), (9, 3)]:
    for kind in range(4):
        costs = generator.normal(size=(rows, columns)).round(3) if kind == 0 else generator.integers(0, [0, 1, 2, 4][kind] + 1, (rows, columns)).astype(float)
        if kind == 3:
            costs[:, 0] = 3.4028234663852886e38
        pairs = [list(map(int, pair)) for pair in zip(*linear_sum_assignment(costs))]
        assignments.append(dict(rows=rows, columns=columns, costs=costs.flatten().tolist(), pairs=pairs))

denoising = []
for targets, settings in [
    ([three, one], dict(num_denoising_queries=8, label_noise_ratio=0.9, box_noise_scale=1.0)),
    ([none, twins], dict(num_denoising_queries=3, label_noise_ratio=0.0, box_noise_scale=0.4)),
    ([one, three, none], dict(num_denoising_queries=20, label_noise_ratio=0.5, box_noise_scale=0.0)),
]:
    draws = []

    def drawn(make):
        def draw(*given, **options):
            values = make(*given, **options)
            draws.extend(values.double().flatten().tolist())
            return values
        return draw

    rand_like, randint_like = torch.rand_like, torch.randint_like
    torch.rand_like, torch.randint_like = drawn(rand_like), drawn(randint_like)
    made = modeling_rt_detr.get_contrastive_denoising_training_group(targets, 4, 2, lambda labels: labels, **settings)
    torch.rand_like, torch.randint_like = rand_like, randint_like
    denoising.append(dict(
        labels=[dict(classLabels=each["class_labels"].tolist(), boxes=each["boxes"].tolist()) for each in targets],
        noise=dict(queries=settings["num_denoising_queries"], labels=settings["label_noise_ratio"], boxes=settings["box_noise_scale"]),
        draws=short(draws), groups=made[3]["dn_num_group"], classes=made[0].flatten().tolist(), boxes=short(made[1].flatten().tolist()),
        positives=[each.tolist() for each in made[3]["dn_positive_idx"]], mask=(made[2] == 0).int().tolist(),
    ))

(here / "detection-loss.json").write_text(json.dumps(dict(cases=cases, assignments=assignments, denoising=denoising)) + "\n")
