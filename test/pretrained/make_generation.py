"""Writes generation.json: what transformers generates from the Llama of test/data/families under settings for tokens.

    pip install torch transformers; python test/pretrained/make_generation.py
"""
import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

root = Path(__file__).resolve().parents[2]
model = AutoModelForCausalLM.from_pretrained(root / 'test/data/families/llama', dtype=torch.float64).eval()
PROMPTS = [[96, 89, 13, 79, 48, 42], [42]]
# The greedy outputs are [62, 90, 40, 66, 93, 17, 53, 18, 48, 31, …] and [71, 76, 12, 52, 24, 67, 1, 34, 34, 37, …].
SETTINGS = [
    {'suppress_tokens': [62, 90, 12, 24, 34, 17]},
    {'begin_suppress_tokens': [62, 71, 40]},
    {'bad_words_ids': [[90], [40, 66], [71, 76], [52, 24, 67], [42, 71], [13, 79, 48, 42, 62]]},
    {'forced_bos_token_id': 7},
    {'forced_bos_token_id': 7, 'begin_suppress_tokens': [62, 71, 40, 33]},
    {'forced_eos_token_id': 9, 'eos_token_id': 9},
    {'forced_eos_token_id': [9, 3], 'eos_token_id': [9, 3]},
    {'eos_token_id': [53, 1], 'min_new_tokens': 9},
    {'eos_token_id': [53, 1], 'min_length': 12, 'max_length': 15},
    {'eos_token_id': [53, 1], 'bad_words_ids': [[53], [67, 1]]},
    {'suppress_tokens': [62, 12], 'begin_suppress_tokens': [71, 90], 'eos_token_id': [18, 34], 'min_new_tokens': 6},
    {'repetition_penalty': 1.4, 'no_repeat_ngram_size': 2},
    {'forced_eos_token_id': 9, 'eos_token_id': 9, 'suppress_tokens': [62, 12], 'length_penalty': 0.3},
    {'eos_token_id': [40, 12, 52], 'early_stopping': True, 'length_penalty': 2.0, 'suppress_tokens': [9]},
]
# The file, and the options of a call beside it. A length of the call replaces the file's under either name: simdformer's rule.
OTHER_NAME = {
    'min_length': 'min_new_tokens',
    'min_new_tokens': 'min_length',
    'max_length': 'max_new_tokens',
    'max_new_tokens': 'max_length',
}
CALLS = [
    ({'eos_token_id': [90, 40, 12], 'max_new_tokens': 8, 'min_new_tokens': 4}, {'min_length': 7}),
    ({'eos_token_id': [90, 40, 12], 'max_new_tokens': 8, 'min_new_tokens': 1}, {'min_length': 8}),
    ({'eos_token_id': [90, 40, 12], 'max_new_tokens': 8, 'min_length': 9}, {'min_new_tokens': 2}),
    ({'eos_token_id': [90, 40, 12], 'max_new_tokens': 8, 'min_new_tokens': 4}, {'min_length': 1}),
    ({'max_new_tokens': 4}, {'max_length': 9}),
    ({'max_length': 9}, {'max_new_tokens': 2}),
]

cases = []
for settings in SETTINGS:
    for beams in (1, 3):
        for prompt in PROMPTS:
            file = {'max_new_tokens': 12, **settings, 'num_beams': beams, 'do_sample': False}
            if 'max_length' in settings:
                del file['max_new_tokens']
            config = GenerationConfig(**file, pad_token_id=0)
            model.generation_config = config
            with torch.no_grad():
                output = model.generate(torch.tensor([prompt]), return_dict_in_generate=True, output_scores=beams > 1)
            ids = output.sequences[0].tolist()[len(prompt) :]
            case = {'file': file, 'prompt': prompt, 'ids': ids}
            if beams > 1:
                case['score'] = float(output.sequences_scores[0])
            cases.append(case)
for file, call in CALLS:
    for prompt in PROMPTS:
        file = {**file, 'num_beams': 1, 'do_sample': False}
        replaced = {OTHER_NAME[name] for name in call}
        settings = {name: value for name, value in file.items() if name not in replaced}
        model.generation_config = GenerationConfig(**settings, pad_token_id=0)
        with torch.no_grad():
            output = model.generate(torch.tensor([prompt]), **call)
        cases.append({'file': file, 'call': call, 'prompt': prompt, 'ids': output[0].tolist()[len(prompt) :]})
lines = ',\n'.join(json.dumps(case) for case in cases)
Path(__file__).with_name('generation.json').write_text(f'[\n{lines}\n]\n')
