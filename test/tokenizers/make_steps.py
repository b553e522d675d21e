"""Writes steps.json.gz: what Rust's tokenizers make of texts with every step of a tokenizer.json, alone and together.

    pip install tokenizers; python test/tokenizers/make_steps.py

The models are those of ids.json.gz, so that the result is the same on every run.
"""
import gzip
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders as d, models, normalizers as n, pre_tokenizers as p, processors as x

here = Path(__file__).parent
MODELS = {name: kind['json'] for name, kind in json.loads(gzip.decompress((here / 'ids.json.gz').read_bytes()))['tokenizers'].items()}
BERT, BYTES, LLAMA3, UNIGRAM, FALLBACK = 'WordPiece, uncased', 'byte-level BPE of GPT-2', 'byte-level BPE of Llama 3', 'Unigram, NFKC', 'BPE with bytes'

draw = random.Random(11)
PIECES = [
    ' ', '  ', '\t', '\n', '\r\n', '\u00a0', '\u3000', '▁', '.', ',', "'s", '—', '$5', '12', '²', '½', 'Ⅷ', '٣', 'quick', 'Noël', 'GRÖẞE', 'jeden', 'Yesterday', 'the', 'ab',
    'e\u0301', 'a\u0323\u0302', 'a\u0302\u0323', '\u1e9b\u0323', '\u212b', '\u0344', '\uac00\u11a8', '\u1112\u1161\u11ab', '\ufb03', 'İ', 'Σς', 'ſt', '北京', '𠜎', 'ｶﾞ', 'ไทย', 'שָׁ', 'नमस्ते', '😀', '👩‍👩‍👧', '❤️', '🇩🇪',
    '\u0000', '\u0007', '\u0085', '\u00ad', '\u200b', '\ufeff', '\ufffd', '\ue000', '\u0378', '<x>', '<Y>', 'é', ' b', '12345', '<s>', '[MASK]', '</s>',
    '\u1adf', '\u08d9', '\u0e38\u0eba', '\U00011935\U00011930', '\U0001e6e3a', '\u1715', '\U000105c9', '\ua7f1', '\u2e52', '\U00011c41', '\ua7ce', '\U00032400', '\U0001e4d5',
]  # fmt: skip
TEXTS = ['abab', 'aab\nABC\n', 'DeadBeef12345', '', ' ', 'The quick brown fox', 'x  ', '  x', '\n\nThe', ' b<x> é <Y>ab aba e\u0301', *PIECES[-13:]] + [
    draw.choice(['', ' ']).join(draw.choice(PIECES) for _ in range(draw.randint(2, 9))) for _ in range(40)
]
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
    r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
sp = lambda token, of: (token, MODELS[of]['model']['vocab'][token])
bert_template = x.TemplateProcessing(
    single='[CLS]:2 $A:3 [SEP]', pair='$B:1 [SEP]:1 [CLS] $A', special_tokens=[sp('[CLS]', BERT), sp('[SEP]', BERT)]
)
added = lambda content, **flags: AddedToken(content, **{'normalized': False, **flags})
ADDED = [added('<x>', lstrip=True), added('<Y>', normalized=True, rstrip=True), added('é', normalized=True), added('ab', single_word=True), added(' b', normalized=True)]

# Regular expressions, as models have them and as Oniguruma reads them.
PATTERNS = [
    r" ?[^(\s|[.,!?…。，、।۔،])]+", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s++$|\s+",
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+", r"\p{N}{1,3}(?=(?:\p{N}{3})*\b)", r"(?i)[^a-y]", r"(?<n>ab)\k<n>", r"(a|b)\1", r"(?>a+)b?", r"a{,2}b", r"b{2}?", r"(?m)x.+", r".+", r"^.", r".$", r"\A\w+", r"\w+\z", r"\w+\Z",
    r"[[:alpha:][:digit:]_-]+", r"[^[:space:]]+", r"[a-z&&[^aeiou]]+", r"[\]\-\\^<]", r"[]a]", r"[a-]", r"\p{^L}+", r"\P{L}+", r"\p{Latin}+", r"\p{greek}", r"[\p{Han}\p{Hiragana}]+", r"\h{2,}", r"\R", r"(?x) a b # comment",
    r"a(?i)B|c", r"\u0061|\x{1F600}", r"(?#a)b", r"[^\S\r\n]+", r"a??", r"x*", r"\B.", r"\p{Lu}(?=\p{Ll})|(?<=\p{Ll})(?=\p{Lu})", r"[[:punct:]]", r"\p{Punct}", r"\w", r"[\w]+", r"\W+", r"\p{Any}",
]  # fmt: skip

# What is not the model's own: a model, and the steps that take the place of its ones.
CASES = [
    *[(UNIGRAM, {'normalizer': each, 'added': ADDED}) for each in (
        None, n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Sequence([n.NFD(), n.StripAccents()]), n.Strip(), n.Nmt(), n.ByteLevel(),
        n.Sequence([n.Prepend('▁'), n.Replace(Regex(r'\s+'), 'é'), n.NFKC(), n.Lowercase(), n.Strip(left=False)]),
        n.BertNormalizer(strip_accents=True, lowercase=False),
    )],
    *[(BERT, {'pre_tokenizer': each, 'post_processor': bert_template}) for each in (
        None, p.Whitespace(), p.WhitespaceSplit(), p.Punctuation('merged_with_next'), p.Digits(), p.Digits(individual_digits=True), p.FixedLength(3),
        *[p.Split(Regex(r'\w+|[^\w\s]'), behavior, invert) for behavior in ('removed', 'isolated', 'merged_with_previous', 'merged_with_next', 'contiguous') for invert in (False, True)],
        p.Sequence([p.Split(' ', 'removed'), p.Split(Regex(r'x*|(?=[A-Z])|(.)\1'), 'contiguous'), p.Split(Regex(r'[[:punct:]&&[^.]]|^\n|\bq'), 'isolated')]),
    )],
    *[(UNIGRAM, {'pre_tokenizer': p.Metaspace(prepend_scheme=scheme, split=split), 'added': ADDED}) for scheme in ('always', 'first', 'never') for split in (True, False)],
    (UNIGRAM, {'pre_tokenizer': p.Sequence([p.WhitespaceSplit(), p.Metaspace(prepend_scheme='first')])}),
    *[(BYTES, {'pre_tokenizer': p.Sequence([p.Split(Regex(GPT4O), 'isolated'), p.ByteLevel(add_prefix_space=prefix, use_regex=not prefix)]),
               'post_processor': process, 'normalizer': n.NFC(), 'added': ADDED}) for prefix, process in (
        (True, x.ByteLevel(trim_offsets=True)), (False, x.RobertaProcessing(sp('</s>', BYTES), sp('<s>', BYTES))),
        (True, x.Sequence([x.ByteLevel(), x.BertProcessing(sp('</s>', BYTES), sp('<s>', BYTES))])),
    )],
    (FALLBACK, {'added': ADDED}),
    (FALLBACK, {'pre_tokenizer': p.Metaspace(prepend_scheme='first', split=False), 'normalizer': n.Replace('e', '$&')}),
    *[(model, {'decoder': each, 'added': ADDED, 'normalizer': n.Lowercase()}) for model, each in (
        (BERT, None), (BERT, d.BPEDecoder('n')), (BERT, d.CTC(pad_token='[PAD]')), (BERT, d.WordPiece(cleanup=False)),
        (UNIGRAM, d.Sequence([d.Strip('▁', 1, 0), d.Replace(Regex('[▁e]'), '$1'), d.Fuse()])), (BYTES, d.Sequence([d.ByteLevel(), d.Fuse()])),
        (FALLBACK, d.Sequence([d.ByteFallback(), d.Metaspace(prepend_scheme='never')])),
    )],
]  # fmt: skip


def made(model, steps):
    data = {**MODELS[model], 'added_tokens': MODELS[model]['added_tokens']}
    tokenizer = Tokenizer.from_str(json.dumps(data))
    for name, step in steps.items():
        if name != 'added':
            setattr(tokenizer, name, step)
    for token in steps.get('added', []):
        tokenizer.add_tokens([token])
    return Tokenizer.from_str(tokenizer.to_str())  # adding tokens leaves more behind than the file says


def row(encoding):
    flat = [place for offset in encoding.offsets for place in offset]
    return [encoding.ids, encoding.type_ids, encoding.special_tokens_mask, flat, encoding.word_ids]


result = {'texts': TEXTS, 'cases': []}
for model, steps in CASES:
    tokenizer = made(model, steps)
    data = json.loads(tokenizer.to_str())
    parts = {name: data[name] for name in ('normalizer', 'pre_tokenizer', 'post_processor', 'decoder', 'added_tokens')}
    encodings = [tokenizer.encode(text) for text in TEXTS]
    texts = [row(each) for each in encodings]
    decoded = [tokenizer.decode(each.ids) for each in encodings if each.ids]
    tokenizer.enable_truncation(12, stride=1)
    pairs = [[row(each) for each in (encoding, *encoding.overflowing)] for encoding in tokenizer.encode_batch(list(zip(TEXTS[23:29], TEXTS[43:49])))]
    result['cases'].append({'model': model, 'parts': parts, 'rows': texts, 'decoded': decoded, 'pairs': pairs})
words = Tokenizer(models.WordLevel({'?': 0}, unk_token='?'))
result['patterns'] = []
for pattern in PATTERNS:
    words.pre_tokenizer = p.Split(Regex(pattern), 'isolated')
    result['patterns'].append([pattern, [row(words.encode(text))[3] for text in TEXTS]])
text = json.dumps(result, separators=(',', ':')) + '\n'
(here / 'steps.json.gz').write_bytes(gzip.compress(text.encode(), 9, mtime=0))
