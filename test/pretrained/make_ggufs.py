# Makes bert.gguf, nomic.gguf, t5.gguf, t5encoder.gguf, gemma-embedding.gguf, phi3.gguf and umt5.gguf, small random models with tokenizers that llama.cpp's converter wrote, and ggufs.json with the ids and
# numbers that transformers and sentencepiece have for them:
#   python test/pretrained/make_ggufs.py LLAMA.CPP
# LLAMA.CPP is the folder of llama.cpp's sources, which the sdist of llama-cpp-python has in vendor/. pip: torch transformers
# sentencepiece gguf
import json, os, sys, tempfile
import sentencepiece, torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, BertTokenizerFast, Gemma3TextConfig, Gemma3TextModel, NomicBertConfig, NomicBertModel, Phi3Config, Phi3ForCausalLM, T5Config, T5EncoderModel, T5ForConditionalGeneration, UMT5Config, UMT5ForConditionalGeneration

sys.path.insert(0, sys.argv[1])
import conversion.base, convert_hf_to_gguf

HERE = os.path.dirname(os.path.abspath(__file__))
torch.manual_seed(1)


def rounded(model, deviation):
    """Weights that float16 holds, so that the file has the same."""
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, deviation)
            p.copy_(p.half().float())
    return model.eval()


def convert(folder, name, *more):
    # A tokenizer of a few words is none that the converter knows by its hash.
    conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: 'default'
    sys.argv = ['convert', folder, '--outtype', 'f16', '--outfile', os.path.join(HERE, name), *more]
    convert_hf_to_gguf.main()


def pooling(folder, kind, projections=()):
    """As sentence-transformers saves it: what becomes of the tokens' vectors."""
    os.mkdir(os.path.join(folder, '1_Pooling'))
    dense = [(f'{i}_Dense', 'Dense') for i, _ in enumerate(projections, 2)]
    modules = [('', 'Transformer'), ('1_Pooling', 'Pooling'), *dense, (f'{len(dense) + 2}_Normalize', 'Normalize')]
    for (path, _), weight in zip(dense, projections):
        os.mkdir(os.path.join(folder, path))
        save_file({'linear.weight': weight}, os.path.join(folder, path, 'model.safetensors'))
        out, width = weight.shape
        settings = dict(in_features=width, out_features=out, bias=False, activation_function='torch.nn.modules.linear.Identity')
        json.dump(settings, open(os.path.join(folder, path, 'config.json'), 'w'))
    listed = [{'idx': i, 'name': str(i), 'path': path, 'type': 'sentence_transformers.models.' + name} for i, (path, name) in enumerate(modules)]
    json.dump(listed, open(os.path.join(folder, 'modules.json'), 'w'))
    json.dump({'word_embedding_dimension': 64, kind: True}, open(os.path.join(folder, '1_Pooling/config.json'), 'w'))


def encoder(folder, kind, config_of, pooled, more={}):
    letters = list('abcdefghijklmnopqrstuvwxyz0123456789')
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *letters, *'.,!?', *('##' + c for c in letters), 'the', 'man', 'dog', 'walks', '##ing']
    vocabulary = os.path.join(folder, 'vocab.txt')
    open(vocabulary, 'w').write('\n'.join(words) + '\n')
    tokenizer = BertTokenizerFast(vocab_file=vocabulary)
    tokenizer.save_pretrained(folder)
    model = rounded(kind(config_of(len(words))), 0.15)
    model.save_pretrained(folder)
    path = os.path.join(folder, 'config.json')
    config = json.load(open(path))
    json.dump({**config, **more}, open(path, 'w'))
    pooling(folder, pooled)
    text = 'The man walks 3 dogs, walking!'
    ids = tokenizer(text)['input_ids']
    with torch.no_grad():
        hidden = model(torch.tensor([ids])).last_hidden_state
    vector = hidden[0, 0] if 'cls' in pooled else hidden[0].mean(0)
    vector = vector / vector.norm()
    return {'text': text, 'ids': ids, 'hidden': [round(x, 6) for x in hidden.flatten().tolist()], 'sentence': [round(x, 6) for x in vector.tolist()]}


def bert(folder):
    """As BGE: the first token's vector."""
    sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, max_position_embeddings=40)
    result = encoder(folder, BertModel, lambda size: BertConfig(vocab_size=size, **sizes), 'pooling_mode_cls_token')
    convert(folder, 'bert.gguf')
    return result


def nomic(folder):
    """With what the converter reads of a config of Nomic's own, which transformers does not write."""
    sizes = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96)
    more = dict(
        activation_function='swiglu', causal=False, qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False, prenorm=False, rotary_emb_fraction=1.0,
        rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_emb_base=1000, n_positions=8192)
    result = encoder(folder, NomicBertModel, lambda size: NomicBertConfig(vocab_size=size, **sizes), 'pooling_mode_mean_tokens', more)
    convert(folder, 'nomic.gguf')
    return result


def t5(folder):
    pieces = spiece(folder)
    config = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0, feed_forward_proj='gated-gelu')
    model = rounded(T5ForConditionalGeneration(config), 0.15)
    model.save_pretrained(folder)
    convert(folder, 't5.gguf')
    ids = pieces.encode('the woman walks her dogs') + [1]
    read = [0, 5, 9, 3]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([read])).logits
    return {'text': 'the woman walks her dogs', 'ids': ids, 'read': read, 'logits': [round(x, 6) for x in logits.flatten().tolist()]}


def umt5(folder):
    """T5 whose layers have biases of distances of their own, and an output of its own."""
    pieces = spiece(folder)
    config = UMT5Config(vocab_size=64, d_model=32, d_kv=4, d_ff=48, num_layers=2, num_heads=3, decoder_start_token_id=0, tie_word_embeddings=False, relative_attention_num_buckets=16)
    model = UMT5ForConditionalGeneration(config)
    model.lm_head.weight = torch.nn.Parameter(torch.empty(64, 32))  # transformers 5 would share it with the embedding
    model = rounded(model, 0.15)
    model.save_pretrained(folder)
    save_file({name: p.clone() for name, p in model.state_dict().items()}, os.path.join(folder, 'model.safetensors'), metadata={'format': 'pt'})
    convert(folder, 'umt5.gguf')
    ids = pieces.encode('the woman walks her dogs') + [1]
    read = [0, 5, 9, 3]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([read])).logits
    return {'text': 'the woman walks her dogs', 'ids': ids, 'read': read, 'logits': [round(x, 6) for x in logits.flatten().tolist()]}


def t5encoder(folder):
    """As sentence-t5 and GTR, whose vectors the file does not say how to pool."""
    pieces = spiece(folder)
    config = T5Config(vocab_size=64, d_model=32, d_kv=4, d_ff=64, num_layers=3, num_heads=5, relative_attention_num_buckets=16)
    model = rounded(T5EncoderModel(config), 0.15)
    model.save_pretrained(folder)
    convert(folder, 't5encoder.gguf')
    ids = pieces.encode('a dog reads three books in the park') + [1]
    with torch.no_grad():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state
    return {'text': 'a dog reads three books in the park', 'ids': ids, 'hidden': [round(x, 6) for x in hidden.flatten().tolist()]}


def gemma_embedding(folder):
    """As EmbeddingGemma: tokens see those behind them, and the mean becomes the vector by way of two projections."""
    spiece(folder, 'tokenizer', model_type='bpe', pad_id=0, eos_id=1, bos_id=2, unk_id=3, byte_fallback=True, vocab_size=330, add_dummy_prefix=False)
    pieces = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, 'tokenizer.model'))
    config = Gemma3TextConfig(
        vocab_size=pieces.vocab_size(), hidden_size=32, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=1, head_dim=8, intermediate_size=40,
        max_position_embeddings=64, sliding_window=6, use_bidirectional_attention=True,
        query_pre_attn_scalar=8, pad_token_id=0, eos_token_id=1, bos_token_id=2)
    model = rounded(Gemma3TextModel(config), 0.15)
    model.save_pretrained(folder)
    json.dump({'tokenizer_class': 'GemmaTokenizer', 'add_bos_token': True, 'add_eos_token': True}, open(os.path.join(folder, 'tokenizer_config.json'), 'w'))
    wide, back = [(0.2 * torch.randn(shape)).half().float() for shape in [(64, 32), (32, 64)]]
    pooling(folder, 'pooling_mode_mean_tokens', [wide, back])
    text = 'the woman walks three dogs in the park'
    ids = [2, *pieces.encode(text), 1]
    with torch.no_grad():
        hidden = model(torch.tensor([ids])).last_hidden_state
    vector = hidden[0].mean(0) @ wide.T @ back.T
    vector = vector / vector.norm()
    convert(folder, 'gemma-embedding.gguf', '--sentence-transformers-dense-modules')
    return {'text': text, 'ids': ids, 'hidden': [round(x, 6) for x in hidden.flatten().tolist()], 'sentence': [round(x, 6) for x in vector.tolist()]}


def phi3(folder):
    """Longer than what it was trained on first, so that the long divisors count; without a window, as Phi-4."""
    spiece(folder, 'tokenizer', model_type='bpe', pad_id=0, eos_id=1, bos_id=2, unk_id=3, byte_fallback=True, vocab_size=330)
    pieces = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, 'tokenizer.model'))
    rope = dict(rope_type='longrope', rope_theta=100.0, short_factor=[1.0, 1.5, 1.1, 1.3], long_factor=[2.0, 3.0, 4.0, 5.0])
    config = Phi3Config(
        vocab_size=pieces.vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
        max_position_embeddings=64, original_max_position_embeddings=6, sliding_window=None, rope_parameters=rope, pad_token_id=0, eos_token_id=1, bos_token_id=2)
    model = rounded(Phi3ForCausalLM(config), 0.15)
    model.save_pretrained(folder)
    json.dump({'tokenizer_class': 'LlamaTokenizer', 'add_bos_token': True, 'legacy': False}, open(os.path.join(folder, 'tokenizer_config.json'), 'w'))
    text = 'the woman walks three dogs in the park'
    ids = [2, *pieces.encode(text)]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits
    convert(folder, 'phi3.gguf')
    return {'text': text, 'ids': ids, 'logits': [round(x, 6) for x in logits.flatten().tolist()]}


def spiece(folder, name='spiece', **more):
    """T5's tokenizer, which it finds in the folder."""
    corpus = os.path.join(folder, 'corpus.txt')
    text = 'the man walks three dogs in the park while a woman reads her book'
    open(corpus, 'w').write('\n'.join(' '.join(text.split()[i:] + text.split()[:i]) for i in range(13)))
    prefix = os.path.join(folder, name)
    sentencepiece.SentencePieceTrainer.train(
        **{**dict(
            input=corpus, model_prefix=prefix, vocab_size=48, model_type='unigram', pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False,
            normalization_rule_name='identity'), **more})
    json.dump({'tokenizer_class': 'T5Tokenizer'}, open(os.path.join(folder, 'tokenizer_config.json'), 'w'))
    return sentencepiece.SentencePieceProcessor(model_file=prefix + '.model')


made = {}
for make in [bert, t5, nomic, t5encoder, gemma_embedding, phi3, umt5]:
    with tempfile.TemporaryDirectory() as folder:
        made[make.__name__] = make(folder)
json.dump(made, open(os.path.join(HERE, 'ggufs.json'), 'w'))
