#!/usr/bin/env python3
"""Writes longrope.json beside this file: what ../data/families/phi3-outgrown, whose texts of more than 8 tokens turn otherwise, writes by
transformers in float64: batches on both sides of that length, and texts that a cache could have begun with.

  pip install torch transformers && python3 make_longrope.py && npx biome check --write .
"""
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent
NEW = 6
LONG = [16, 15, 10, 7, 4, 13, 9, 5, 18, 11, 3, 6, 12]
BATCHES = [[LONG[:3], LONG], [LONG[:4], LONG[1:8]], [LONG[2:5], LONG[4:6]], [LONG[:8], LONG[:9]], [LONG], [LONG[:7]], [LONG[:3]]]

model = transformers.Phi3ForCausalLM.from_pretrained(HERE / "../data/families" / "phi3-outgrown", dtype=torch.float64, attn_implementation="sdpa").eval()
found = []
for prompts in BATCHES:
    longest = max(map(len, prompts))
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    out = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, eos_token_id=None, pad_token_id=0, do_sample=False,
                         return_dict_in_generate=True, output_logits=True)
    written = out.sequences[:, longest:]
    steps = [logits.log_softmax(-1).gather(1, written[:, i : i + 1])[:, 0] for i, logits in enumerate(out.logits)]
    found.append(dict(prompts=prompts, written=written.tolist(), logProbabilities=torch.stack(steps, 1).tolist()))
(HERE / "longrope.json").write_text(json.dumps(found))
