"""Writes detection-scores.json: random detections, and COCO's scores by pycocotools. Needs pycocotools."""

import argparse
import contextlib
import io
import json
import random
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
R = random.Random(4)


def box():
    x, y = R.randint(0, 50), R.randint(0, 50)
    return [x, y, x + R.randint(5, 40), y + R.randint(5, 40)]


def near(edges, amount):
    moved = [round(edge + R.uniform(-amount, amount), 2) for edge in edges]
    return [*moved[:2], max(moved[2], moved[0] + 1), max(moved[3], moved[1] + 1)]


def case(images, amount, extra, labels, missing=0.1):
    wanted = [[dict(label=R.choice(labels), box=box()) for _ in range(R.randint(0, 5))] for _ in range(images)]
    found = []
    for objects in wanted:
        own = [dict(label=each["label"] if R.random() < 0.9 else R.choice(labels), box=near(each["box"], amount), score=round(R.random(), 2)) for each in objects for _ in range(R.randint(1, 2)) if R.random() > missing]
        found.append(own + [dict(label=R.choice(labels), box=box(), score=round(R.random(), 2)) for _ in range(R.randint(0, extra))])
    return dict(outputs=found, references=wanted)


def scores(outputs, references):
    names = sorted({each["label"] for objects in references for each in objects})
    annotations, results = [], []
    size = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]
    for image, objects in enumerate(references):
        for each in objects:
            bbox = size(each["box"])
            annotations.append(dict(id=len(annotations) + 1, image_id=image, category_id=names.index(each["label"]), bbox=bbox, area=bbox[2] * bbox[3], iscrowd=0))
    for image, objects in enumerate(outputs):
        results += [dict(image_id=image, category_id=names.index(each["label"]), bbox=size(each["box"]), score=each["score"]) for each in objects if each["label"] in names]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(images=[dict(id=i) for i in range(len(references))], annotations=annotations, categories=[dict(id=i) for i in range(len(names))])
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:3]]


cases = [case(6, 3, 2, ["a", "b"]), case(10, 8, 3, ["a", "b", "c"]), case(3, 0, 0, ["a"], 0), case(5, 2, 120, ["a", "b"])]
for each in cases:
    each["scores"] = scores(**each)
    each["outputs"] = [[dict(o, box=dict(zip(("xmin", "ymin", "xmax", "ymax"), o["box"]))) for o in objects] for objects in each["outputs"]]
    each["references"] = [[dict(o, box=dict(zip(("xmin", "ymin", "xmax", "ymax"), o["box"]))) for o in objects] for objects in each["references"]]
    print(each["scores"])
Path(__file__).with_name("detection-scores.json").write_text(json.dumps(cases) + "\n")
