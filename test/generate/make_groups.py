"""Writes groups.json: diverse beam search by transformers before version 5, which still had it, on the GPT-2 and T5 of
test/data/reference.

    pip install torch 'transformers<4.50'; python test/generate/make_groups.py
"""
import json
from pathlib import Path

import torch
from transformers import T5ForConditionalGeneration, GPT2LMHeadModel

root = Path(__file__).resolve().parents[2] / 'test/data/families'
SETTINGS = [
    {'num_beams': 4, 'num_beam_groups': 2, 'diversity_penalty': 0.5},
    {'num_beams': 6, 'num_beam_groups': 3, 'diversity_penalty': 1.5},
    {'num_beams': 4, 'num_beam_groups': 4, 'diversity_penalty': 0.7, 'length_penalty': 0.3},
    {'num_beams': 4, 'num_beam_groups': 2, 'diversity_penalty': 2.0, 'early_stopping': True, 'no_repeat_ngram_size': 2},
]
PROMPTS = [[96, 89, 13, 79, 48, 42], [42]]

cases = []
for name, kind in (('gpt2', GPT2LMHeadModel), ('t5', T5ForConditionalGeneration)):
    model = kind.from_pretrained(root / name, torch_dtype=torch.float32).eval()
    model.generation_config.forced_eos_token_id = None
    for settings in SETTINGS:
        for prompt in PROMPTS:
            with torch.no_grad():
                output = model.generate(
                    torch.tensor([prompt]),
                    **settings,
                    max_new_tokens=8,
                    num_return_sequences=settings['num_beams'],
                    pad_token_id=0,
                    do_sample=False,
                    return_dict_in_generate=True,
                    output_scores=True,
                )
            begin = len(prompt) if name == 'gpt2' else 1
            end = model.generation_config.eos_token_id
            rows = [row[begin:] for row in output.sequences.tolist()]
            rows = [row[: row.index(end)] if end in row else row for row in rows]
            scores = output.sequences_scores.tolist()
            cases.append({'model': name, 'settings': settings, 'prompt': prompt, 'sequences': rows, 'scores': scores})
lines = ',\n'.join(json.dumps(case) for case in cases)
Path(__file__).with_name('groups.json').write_text(f'[\n{lines}\n]\n')
