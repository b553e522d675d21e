#!/usr/bin/env python3
"""Writes blenderbot-small.json: a small vocabulary with its merges, and ids of texts by transformers' BlenderbotSmallTokenizer.

  pip install transformers && python3 make_blenderbot.py

Some results of merges are no words of the vocabulary, as in published ones.
"""
import collections
import json
import pathlib
import tempfile

from transformers import BlenderbotSmallTokenizer

TEXT = "hello how are you today ? i am fine , thanks ! what do you like to do ? i like the old river and the new bridge . it 's a good day , is n't it ? well ( yes ) ! the cat sat . häuser über straßen __newln__"
def train(text, count):
    words = collections.Counter(text.split()); table = {w: tuple(w[:-1]) + (w[-1] + "</w>",) for w in words}
    merges = []
    for _ in range(count):
        pairs = collections.Counter()
        for w, n in words.items():
            for pair in zip(table[w], table[w][1:]): pairs[pair] += n
        if not pairs: break
        best = max(pairs, key=lambda p: (pairs[p], p)); merges.append(best)
        for w in words:
            s, out = table[w], []
            i = 0
            while i < len(s):
                if s[i:i+2] == best: out.append(s[i] + s[i+1]); i += 2
                else: out.append(s[i]); i += 1
            table[w] = tuple(out)
    pieces = []
    for w in words:
        for p in table[w]:
            name = p[:-4] if p.endswith("</w>") else p + "@@"
            if name not in pieces: pieces.append(name)
    return merges, pieces
merges, pieces = train(TEXT, 60)
letters = "abcdefghijklmnoprstuvwyz.,!?()'0"
for c in letters:
    for name in (c, c + "@@"):
        if name not in pieces: pieces.append(name)
vocab = {t: i for i, t in enumerate(["__null__", "__start__", "__end__", "__unk__", *pieces])}
TEXTS = ["Hello, how are you today?", "It's a good day, isn't it?!", "the old\nriver", "the\n\nnew '\nbridge.\n", "...(well)... 'yes'!", "", "   \n ", "zq xylophone ÄÖ häuser", "__start__ hello __end__ __unk__x", "a.b,c!d?e(f)g'h", "I\tlike\u00a0it ", "A", "thank you\r\nwell", "qqq", "hello__end__there", "thanksthanks riverbridge"]
with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    tokenizer = BlenderbotSmallTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
cases = []
for text in TEXTS:
    ids = tokenizer(text)["input_ids"]
    cases.append(dict(text=text, ids=ids, decoded=tokenizer.decode(ids, skip_special_tokens=True)))
result = dict(vocab=vocab, merges=[" ".join(m) for m in merges], cases=cases)
pathlib.Path(__file__).with_name("blenderbot-small.json").write_text(json.dumps(result, ensure_ascii=False) + "\n")
