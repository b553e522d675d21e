"""Writes offsets.json.gz: what Rust's tokenizers say of where tokens come from, and of batches, for small tokenizers of each kind.

    pip install tokenizers; python test/tokenizers/make_offsets.py

Training draws: what offsets.json.gz has is kept, and only kinds that it has not are trained.
"""
import gzip
import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    'Hello, world! This is a test of tokenizers.',
    "The quick brown fox's tail — it isn't RED.",
    'Café naïve résumé: cafe\u0301 nai\u0308ve a\u0323\u0302',
    '北京 and 東京都, 中文混合text 한국어 \u1112\u1161\u11ab',
    '😀 emoji 👩‍👩‍👧 flags 🇩🇪 x😀y',
    '  leading   and  inner spaces\tand\nlines  ',
    'control\u0000 cha\u200br\u00adacters \ufeff end\u0007',
    'ＦＵＬＬ width ﬁ ligature ½ ² Ⅷ İstanbul ẞ',
    '[MASK] special<s> in [SEP]text <extra>  ',
    'xqzjw unknownwordthatisverylong',
    '',
]
# Found by comparing random texts; no vocabulary is trained on them.
FOUND = [
    '\n\u30e5 a \u2581 b', '\tx', '\u2009', ' \u200b', '    \njumps OVER ', '\U0001f660\ua402 <mask>\u03c8<mask> ', '## ', '\u2764\ufe0f a', '<0x41>\u2764',
    'e\u034e\u0304\u033b8', 'n\u0300\u0336\u035c', 'a\u0321\u032f\u0368o\u0330\u0306\u0313b', ' x \u2581  ', '79\u2e52http \u2e49a', '\uac00\u11a8\u1112\u1161\u0304',
]  # fmt: skip


def bert(lowercase):
    t = Tokenizer(models.WordPiece(unk_token='[UNK]', max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    t.train_from_iterator(CORPUS[:3] + CORPUS[5:7], trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False))
    t.post_processor = processors.TemplateProcessing(
        single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)]
    )
    t.decoder = decoders.WordPiece()
    return t


def bytes_bpe(prefix, roberta):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    special = ['<s>', '<pad>', '</s>']
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False))
    if roberta:
        t.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), trim_offsets=True, add_prefix_space=prefix)
    else:
        t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.decoder = decoders.ByteLevel()
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(__import__('tokenizers').Regex(' {2,}'), ' ')])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ['<pad>', '</s>', '<unk>', '<extra>']
    t.train_from_iterator(CORPUS[:3] + CORPUS[5:6], trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token='<unk>', show_progress=False))
    t.post_processor = processors.TemplateProcessing(single='$A </s>', pair='$A </s> $B </s>', special_tokens=[('</s>', 1)])
    t.decoder = decoders.Metaspace()
    return t


def llama():
    t = Tokenizer(models.BPE(unk_token='<unk>', fuse_unk=True, byte_fallback=True))
    trained = Tokenizer(models.BPE(unk_token='<unk>'))
    norm = normalizers.Sequence([normalizers.Prepend('▁'), normalizers.Replace(' ', '▁')])
    trained.normalizer = norm
    special = ['<unk>', '<s>', '</s>'] + [f'<0x{i:02X}>' for i in range(256)]
    trained.train_from_iterator(CORPUS[:2], trainers.BpeTrainer(vocab_size=340, special_tokens=special, show_progress=False))
    data = json.loads(trained.to_str())
    t = Tokenizer.from_str(json.dumps({
        **data,
        'added_tokens': data['added_tokens'][:3],
        'model': {**data['model'], 'byte_fallback': True, 'fuse_unk': True},
    }))
    t.post_processor = processors.TemplateProcessing(single='<s> $A', pair='<s> $A <s>:1 $B:1', special_tokens=[('<s>', 1)])
    t.decoder = decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(' ', 1, 0)])
    return t


def t5():
    """Spaces are removed, and one is put before each word."""
    t = unigram()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    return t


def unigram_bytes():
    data = json.loads(unigram().to_str())
    vocabulary = data['model']['vocab'] + [[f'<0x{i:02X}>', -20.0] for i in range(256)]
    return Tokenizer.from_str(json.dumps({**data, 'model': {**data['model'], 'vocab': vocabulary, 'byte_fallback': True}}))


def masked():
    t = bytes_bpe(True, True)
    t.add_special_tokens([AddedToken('<mask>', lstrip=True)])
    return t


def composed():
    t = bytes_bpe(False, False)
    t.normalizer = normalizers.NFC()
    return t


KINDS = {
    'BERT': lambda: bert(True),
    'BERT, cased': lambda: bert(False),
    'GPT-2': lambda: bytes_bpe(False, False),
    'RoBERTa': lambda: bytes_bpe(False, True),
    'RoBERTa with a prefix space': lambda: bytes_bpe(True, True),
    'Unigram': lambda: unigram(),
    'Llama': lambda: llama(),
    'T5': lambda: t5(),
    'Unigram with bytes': lambda: unigram_bytes(),
    'RoBERTa with a mask': lambda: masked(),
    'GPT-2, composed': lambda: composed(),
}


def row(encoding):
    return {
        'inputIds': encoding.ids,
        'tokenTypeIds': encoding.type_ids,
        'specialTokensMask': encoding.special_tokens_mask,
        'attentionMask': encoding.attention_mask,
        'offsets': encoding.offsets,
        'wordIds': encoding.word_ids,
    }


path = Path(__file__).with_name('offsets.json.gz')
kept = json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}
result = {}
for name, make in KINDS.items():
    tokenizer = Tokenizer.from_str(json.dumps(kept[name]['json'])) if name in kept else make()
    texts = [{'text': text, **row(tokenizer.encode(text))} for text in CORPUS + FOUND]
    batches = []
    pairs = [(CORPUS[0], CORPUS[1]), (CORPUS[3], CORPUS[0]), ('a', CORPUS[5])]
    for strategy in ('longest_first', 'only_first', 'only_second'):
        for length, stride in ((24, 0), (30, 3), (4, 0)):
            for first, second in pairs:
                tokenizer.enable_truncation(length, stride=stride, strategy=strategy)
                try:
                    encoding = tokenizer.encode(first, second)
                except BaseException:
                    continue
                all_ = [encoding, *encoding.overflowing]
                options = {'truncation': strategy, 'maxLength': length, 'stride': stride}
                batches.append({'texts': [first, second], 'options': options, 'rows': [row(each) for each in all_]})
    tokenizer.no_truncation()
    result[name] = {'json': json.loads(tokenizer.to_str()), 'texts': texts, 'batches': batches}
text = json.dumps(result, separators=(',', ':')) + '\n'
path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
