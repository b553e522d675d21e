"""Writes ids.json.gz: what Rust's tokenizers make of texts of many scripts, and of what is left of them as text again.

    pip install tokenizers; python test/tokenizers/make_ids.py

The vocabularies are trained on a part of the texts, so that the rest has words, characters and bytes that they do not know.
Training draws: what ids.json.gz has is kept, and only kinds that it has not are trained.
"""
import gzip
import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

KNOWN = [
    'The quick brown fox jumps over the lazy dog, and doesn’t look back; "why?" it asks.',
    "I'd say we've seen 1,234.56 of them (they're 78% done) — isn't that so?",
    'Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.',
    'Les naïfs ægithales hâtifs pondant à Noël où il gèle sont sûrs d’être déçus.',
    'Съешь ещё этих мягких французских булок, да выпей чаю.',
    'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.',
    'いろはにほへと ちりぬるを 我が世誰ぞ 常ならむ',
    '視野無限廣，窗外有藍天。天地玄黃，宇宙洪荒。',
    '키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.',
    'צפון הוא כיוון. نص حكيم له سر قاطع وذو شأن عظيم',
    'ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण',
    'เป็นมนุษย์สุดประเสริฐเลิศคุณค่า',
    'x = [a[i] * b[i] for i in range(10)]  # 你好 🙂\n\treturn x;\n',
    '😀😃 👍🏽 👩‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ ☺',
]
# What makes trouble: each alone and between others.
PIECES = [
    '😀', '👩‍👩‍👧', '👍🏽', '🇩🇪', '❤️', '🏴\U000e0067\U000e0062\U000e007f', '𝔘𝔫𝔦', '𠜎𠜱', '北京', '東京都', '中', '한국', '\u1112\u1161\u11ab',
    'e\u0301', 'é', 'n\u0303', 'a\u0323\u0302', 'a\u0302\u0323', 'i\u0307', 'İ', 'ı', 'ß', 'ẞ', 'Σ', 'ς', 'ά', 'ﬁ', 'ﬃ', '½', '²', 'Ⅷ', '①', 'ＦＵＬＬ', 'ｶﾞ',
    '\u0000', '\u0001', '\u0007', '\u001b[0m', '\u007f', '\u0085', '\u009f', '\u00a0', '\u00ad', '\u200b', '\u200d', '\u200e', '\u2028', '\u2029', '\u202e',
    '\u3000', '\ufeff', '\ufffd', '\ufe0f', '\u0378', '\ue000', ' ', '  ', '   ', '\t', '\n', '\r\n', '\n\n', '▁', 'Ġ', '##', "'s", "'LL", '’re', '...', '—', '¿', '$5',
    '1', '12', '123', '3.14', '٣', '१२', 'Hello', 'world', 'WORLD', 'naïve', 'déjà', 'Größe', 'привет', 'Ёлка', 'γειά', 'שלום', 'שָׁ', 'مرحبا', 'نَصّ', 'नमस्ते', 'สวัสดี', 'ไทย',
    '<s>', '</s>', '[MASK]', '[SEP]', '<unk>', '<0x41>', '~', '`', '^', '|', '\\', '_', '@a.b',
]  # fmt: skip

draw = random.Random(7)
TEXTS = KNOWN[::2] + PIECES + [
    draw.choice(['', ' ']).join(draw.choice(PIECES) for _ in range(draw.randint(2, 9))) for _ in range(160)
]


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(KNOWN, trainer)
    return tokenizer


def word_piece(lowercase, **options):
    t = Tokenizer(models.WordPiece(unk_token='[UNK]', max_input_chars_per_word=20))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase, **options)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    trained(t, trainers.WordPieceTrainer(vocab_size=420, special_tokens=special, show_progress=False))
    t.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
    t.decoder = decoders.WordPiece()
    return t


def byte_level(split=None):
    t = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    parts = [] if split is None else [pre_tokenizers.Split(Regex(split), 'isolated')]
    t.pre_tokenizer = pre_tokenizers.Sequence([*parts, level])
    special = ['<s>', '</s>']
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained(t, trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    t.decoder = decoders.ByteLevel()
    return t


def unigram(normalizer):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ['<pad>', '</s>', '<unk>']
    trained(t, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token='<unk>', show_progress=False))
    t.decoder = decoders.Metaspace()
    return t


def fallback(fuse):
    """SentencePiece's BPE as Llama and Gemma have it: what is not known is written in bytes."""
    t = Tokenizer(models.BPE(unk_token='<unk>'))
    t.normalizer = normalizers.Replace(' ', '▁')
    special = ['<unk>', '<s>', '</s>'] + [f'<0x{i:02X}>' for i in range(256)]
    t.train_from_iterator(KNOWN[:4], trainers.BpeTrainer(vocab_size=460, special_tokens=special, show_progress=False))
    data = json.loads(t.to_str())
    model = {**data['model'], 'byte_fallback': True, 'fuse_unk': fuse}
    t = Tokenizer.from_str(json.dumps({**data, 'added_tokens': data['added_tokens'][:3], 'model': model}))
    t.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()])
    return t


# Llama 3's: no more than three digits at once, and letters of any script.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
KINDS = {
    'WordPiece, uncased': lambda: word_piece(True),
    'WordPiece, cased': lambda: word_piece(False, handle_chinese_chars=False),
    'byte-level BPE of GPT-2': lambda: byte_level(),
    'byte-level BPE of Llama 3': lambda: byte_level(LLAMA3),
    'Unigram, NFKC': lambda: unigram(normalizers.NFKC()),
    'Unigram, NFD without accents': lambda: unigram(normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])),
    'BPE with bytes': lambda: fallback(True),
}

path = Path(__file__).with_name('ids.json.gz')
kept = json.loads(gzip.decompress(path.read_bytes()))['tokenizers'] if path.exists() else {}
result = {'texts': TEXTS, 'tokenizers': {}}
for name, make in KINDS.items():
    tokenizer = Tokenizer.from_str(json.dumps(kept[name]['json'])) if name in kept else make()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    decoded = [tokenizer.decode(each, skip_special_tokens=False) for each in ids]
    result['tokenizers'][name] = {'json': json.loads(tokenizer.to_str()), 'ids': ids, 'decoded': decoded}
text = json.dumps(result, separators=(',', ':')) + '\n'
path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
