"""Writes vocabulary.json and ids.json: a text in the ids of llama.cpp, by the names of `tokenizer.ggml.pre`.

    LLAMA_TOKENIZE=.../llama-tokenize python3 make.py

Needs gguf and tokenizers of PyPI. The merges are learned from the whole text without splitting it, so that they cross
the borders of words. Ids therefore show where a rule splits the text.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

import gguf
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
SOURCES = HERE / '../../../../src/pretrained/gguf/pre-tokenizers.ts'
TEXT = (
    "Hello world, it's 2026!  WE'VE paid 1234567.89 in 3 shops\n\n   def camelCase(x_y):\r\n\treturn  x+=1 // 'LLm's\n"
    "na\u00efve \u00dcBER stra\u00dfe \u00bd\u00b2 \u2167 don't HTTPServer iPhone   \u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002\u5b8c "
    "\ud55c\uad6d\uc5b4 \u041f\u0440\u0438\u0432\u0435\u0442\u041c\u0438\u0440 \u0645\u0631\u062d\u0628\u0627\u060c \u0928\u092e\u0938\u094d\u0924\u0947 1\u0967\u0968 e\u0301a\u0308 "
    "\u2026\u2014'quote' <tag/> ~|^$` ?!... \u20ac100 a1b22c333 \U0001f600\U0001f469\u200d\U0001f467 00012345678  end "
)


def names() -> list[str]:
    """Names that simdformer knows, except those that llama.cpp splits otherwise than the models' own tokenizers."""
    known = SOURCES.read_text().split('const known')[1].split('function named')[0]
    others = {'tiny_aya', 'cohere2moe'}  # llama.cpp does not split camelCase
    return sorted({*re.findall(r"'([a-z][\w.-]*)'", known), *re.findall(r'^  (\w+): \{', known, re.MULTILINE)} - others)


def learn() -> tuple[list[str], list[str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, min_frequency=1, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([TEXT] + TEXT.split(' '), trainer)
    model = json.loads(tokenizer.to_str())['model']
    tokens = sorted(model['vocab'], key=model['vocab'].get)
    return tokens, [' '.join(pair) for pair in model['merges']]


def encode(name: str, tokens: list[str], merges: list[str]) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        path, text = f'{folder}/vocabulary.gguf', f'{folder}/text'
        writer = gguf.GGUFWriter(path, 'llama')
        writer.add_tokenizer_model('gpt2')
        writer.add_tokenizer_pre(name)
        writer.add_token_list(tokens)
        writer.add_token_types([1] * len(tokens))
        writer.add_token_merges(merges)
        writer.add_bos_token_id(0)
        writer.add_eos_token_id(0)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        Path(text).write_text(TEXT, newline='')
        command = [os.environ['LLAMA_TOKENIZE'], '-m', path, '-f', text, '--ids', '--no-bos', '--log-disable']
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    tokens, merges = learn()
    groups: dict[str, list[str]] = {}
    for name in names():
        groups.setdefault(json.dumps(encode(name, tokens, merges)), []).append(name)
    rows = [{'names': group, 'ids': json.loads(ids)} for ids, group in groups.items()]
    HERE.joinpath('vocabulary.json').write_text(json.dumps({'tokens': tokens, 'merges': merges}))
    HERE.joinpath('ids.json').write_text(json.dumps({'text': TEXT, 'rules': rows}))
    print(len(names()), 'names', len(rows), 'rules')


main()
