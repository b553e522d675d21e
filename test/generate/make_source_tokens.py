"""Writes source-tokens.json: generation by transformers with options about the tokens of the source, or of the prompt, on
the GPT-2 and T5 of test/data/reference.

    pip install torch transformers; python test/generate/make_source_tokens.py
"""
import json
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel, T5ForConditionalGeneration

root = Path(__file__).resolve().parents[2] / 'test/data/families'
SETTINGS = [
    {'encoder_no_repeat_ngram_size': 1},
    {'encoder_no_repeat_ngram_size': 2},
    {'encoder_no_repeat_ngram_size': 2, 'num_beams': 3},
    {'encoder_repetition_penalty': 2.5},
    {'encoder_repetition_penalty': 0.6, 'num_beams': 3},
    {'encoder_repetition_penalty': 3.0, 'encoder_no_repeat_ngram_size': 2, 'no_repeat_ngram_size': 2, 'repetition_penalty': 1.3},
]
PROMPTS = [[96, 89, 13, 79, 48, 13, 42], [42, 13, 13]]

cases = []
for name, kind in (('gpt2', GPT2LMHeadModel), ('t5', T5ForConditionalGeneration)):
    model = kind.from_pretrained(root / name, dtype=torch.float32).eval()
    model.generation_config.forced_eos_token_id = None
    for settings in SETTINGS:
        for prompt in PROMPTS:
            with torch.no_grad():
                output = model.generate(
                    torch.tensor([prompt]), **settings, max_new_tokens=10, pad_token_id=0, do_sample=False
                )
            begin = len(prompt) if name == 'gpt2' else 1
            end = model.generation_config.eos_token_id
            [row] = [row[begin:] for row in output.tolist()]
            tokens = row[: row.index(end)] if end in row else row
            cases.append({'model': name, 'settings': settings, 'prompt': prompt, 'tokens': tokens})
lines = ',\n'.join(json.dumps(case) for case in cases)
Path(__file__).with_name('source-tokens.json').write_text(f'[\n{lines}\n]\n')
