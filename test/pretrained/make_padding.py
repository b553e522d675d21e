#!/usr/bin/env python3
"""Writes padding.json beside this file: what transformers makes of rows with padding before tokens and between them.

  pip install torch transformers && python3 make_padding.py && npx biome check --write padding.json

The models are those of test/data/families, in float64.
"""
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent
REFERENCE = HERE.parent / "data" / "families"
LEFT, HOLES = [[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], [[1, 0, 1, 1, 0, 0], [0, 1, 1, 0, 1, 1]]
CASES = {
    "bert-pooler": (LEFT, "last_hidden_state pooler_output"),
    "bert-sequence": (HOLES, "logits loss"),
    "bert-token": (LEFT, "logits loss"),
    "distilbert-sequence": (LEFT, "logits loss"),
    "electra-discriminator": (LEFT, "logits loss"),
    "albert-mlm": (HOLES, "hidden_states.2 loss"),
    "roberta-sequence": (HOLES, "logits loss"),
    "mpnet": (LEFT, "logits loss"),
    "modernbert-sequence": (HOLES, "logits loss"),
    "deberta-v2-sequence": (LEFT, "logits loss"),
    "clip": ([[1, 0, 1, 1, 1, 1], [1, 1, 0, 0, 1, 1]], "text_embeds"),
    "siglip": (LEFT, "text_embeds"),
    "bart": (LEFT, "encoder_last_hidden_state loss"),
    "marian": (LEFT, "encoder_last_hidden_state loss"),
    "m2m100": (LEFT, "encoder_last_hidden_state loss"),
}

cases = []
for seed, (name, (mask, results)) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    kind = getattr(transformers, json.loads((REFERENCE / name / "reference.json").read_text())["class"])
    model = kind.from_pretrained(REFERENCE / name, attn_implementation="eager", dtype=torch.float64).eval()
    for _, buffer in model.named_buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.double()
    config = getattr(model.config, "text_config", model.config)
    mask = torch.tensor(mask)
    ids = torch.where(mask == 1, torch.randint(8, config.vocab_size, mask.shape), config.pad_token_id or 0)
    inputs = dict(input_ids=ids, attention_mask=mask)
    if name in ("clip", "siglip"):
        if name == "clip":
            ids[:, -1] = config.eos_token_id
        vision = model.config.vision_config
        inputs["pixel_values"] = torch.zeros(1, vision.num_channels, vision.image_size, vision.image_size).double()
    elif "loss" in results:
        classes = kind.__name__.endswith("SequenceClassification")
        labels = torch.randint(0, config.num_labels, (2,)) if classes else torch.where(mask == 1, torch.randint(0, 2, ids.shape), -100)
        inputs["labels"] = labels.double() if "PreTraining" in kind.__name__ else labels
    with torch.no_grad():
        output = model(**inputs, output_hidden_states=True)
    inputs.pop("pixel_values", None)
    case = dict(name=name, **{key: value.long().tolist() for key, value in inputs.items()}, results={})
    for result in results.split():
        key, *index = result.split(".")
        value = output[key][int(index[0])] if index else output[key]
        if value.dim() > 1 and value.shape[:2] == mask.shape:
            value = value[mask == 1]
        case["results"][result] = [round(x, 6) for x in value.flatten().tolist()]
    cases.append(case)
(HERE / "padding.json").write_text(json.dumps(cases))
