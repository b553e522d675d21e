// Widely used checkpoints, from which scripts/models-page.mjs makes docs/models.md. A group has one architecture:
//
//   config     what its config.json says beyond the defaults of transformers' class
//   task       the pipeline that people use it for
//   millions   the published number of parameters; the page is not made if ours differs by more than 1.5 %
//   ids        names on the hub by the formats of weights: s safetensors, b pytorch_model.bin, o ONNX in the same
//              repository, g GGUF. A name may have its own settings and number of parameters
//   head       if it does not follow from the task

const bert = (hidden_size, num_hidden_layers, num_attention_heads, vocab_size = 30522, others = {}) => ({
  model_type: 'bert',
  hidden_size,
  num_hidden_layers,
  num_attention_heads,
  vocab_size,
  intermediate_size: 4 * hidden_size,
  ...others,
});
const roberta = (hidden_size, num_hidden_layers, num_attention_heads, vocab_size = 50265, others = {}) => ({
  ...bert(hidden_size, num_hidden_layers, num_attention_heads, vocab_size, { type_vocab_size: 1, ...others }),
  model_type: 'roberta',
  max_position_embeddings: 514,
  layer_norm_eps: 1e-5,
  ...others,
});
const xlmRoberta = (hidden_size, num_hidden_layers, num_attention_heads, others = {}) => ({
  ...roberta(hidden_size, num_hidden_layers, num_attention_heads, 250002, others),
  model_type: 'xlm-roberta',
});
const labels = (num_labels) => ({
  id2label: Object.fromEntries(Array.from({ length: num_labels }, (_, i) => [i, `${i}`])),
});

const minilm6 = bert(384, 6, 12);
const minilm12 = bert(384, 12, 12);
const base = bert(768, 12, 12);
const cased = bert(768, 12, 12, 28996);
const large = bert(1024, 24, 16);

const distil = (others = {}) => ({
  model_type: 'distilbert',
  vocab_size: 30522,
  dim: 768,
  hidden_dim: 3072,
  n_layers: 6,
  n_heads: 12,
  ...others,
});
const deberta = (hidden_size, num_hidden_layers, num_attention_heads, vocab_size = 128100, others = {}) => ({
  ...bert(hidden_size, num_hidden_layers, num_attention_heads, vocab_size),
  model_type: 'deberta-v2',
  type_vocab_size: 0,
  relative_attention: true,
  position_buckets: 256,
  max_relative_positions: -1,
  position_biased_input: false,
  norm_rel_ebd: 'layer_norm',
  share_att_key: true,
  pos_att_type: ['p2c', 'c2p'],
  pooler_hidden_size: hidden_size,
  pooler_hidden_act: 'gelu',
  ...others,
});
const decoder = (model_type, layers, hidden, heads, kv, feedForward, vocabulary, others = {}) => ({
  model_type,
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: heads,
  num_key_value_heads: kv,
  intermediate_size: feedForward,
  vocab_size: vocabulary,
  ...others,
});
const tied = { tie_word_embeddings: true };
const untied = { tie_word_embeddings: false };
const t5 = (layers, d_model, d_ff, num_heads, others = {}) => ({
  model_type: 't5',
  num_layers: layers,
  num_decoder_layers: layers,
  d_model,
  d_ff,
  num_heads,
  d_kv: 64,
  vocab_size: 32128,
  ...others,
});
const longT5 = (layers, d_model, d_ff, num_heads, encoder_attention_type) =>
  t5(layers, d_model, d_ff, num_heads, { ...flan, model_type: 'longt5', encoder_attention_type });
const flan = { feed_forward_proj: 'gated-gelu', tie_word_embeddings: false };
const bartOf = (model_type, layers, d_model, feedForward, heads, vocab_size, others = {}) => ({
  model_type,
  encoder_layers: layers,
  decoder_layers: layers,
  d_model,
  vocab_size,
  encoder_ffn_dim: feedForward,
  decoder_ffn_dim: feedForward,
  encoder_attention_heads: heads,
  decoder_attention_heads: heads,
  ...others,
});
const marian = (vocab_size) =>
  bartOf('marian', 6, 512, 2048, 8, vocab_size, { max_position_embeddings: 512, pad_token_id: vocab_size - 1 });
const whisper = (encoder_layers, decoder_layers, d_model, heads, others = {}) => ({
  model_type: 'whisper',
  encoder_layers,
  decoder_layers,
  d_model,
  vocab_size: 51865,
  encoder_attention_heads: heads,
  decoder_attention_heads: heads,
  encoder_ffn_dim: 4 * d_model,
  decoder_ffn_dim: 4 * d_model,
  ...others,
});
const english = { vocab_size: 51864 };
const qwen2 = (layers, hidden, heads, kv, feedForward, others = tied) =>
  decoder('qwen2', layers, hidden, heads, kv, feedForward, 151936, others);
const qwen3 = (layers, hidden, heads, kv, feedForward, others = tied) =>
  decoder('qwen3', layers, hidden, heads, kv, feedForward, 151936, { head_dim: 128, ...others });
/** Qwen's files have the settings of the language model at the top. */
const qwen2Vl = (text, vision_config) => ({ ...text, vision_config });
const neox = (layers, hidden, heads, others = {}) =>
  decoder('gpt_neox', layers, hidden, heads, heads, 4 * hidden, 50304, { rotary_pct: 0.25, ...untied, ...others });
const opt = (layers, hidden, heads, others = {}) => ({
  model_type: 'opt',
  num_hidden_layers: layers,
  hidden_size: hidden,
  num_attention_heads: heads,
  ffn_dim: 4 * hidden,
  word_embed_proj_dim: hidden,
  vocab_size: 50272,
  ...others,
});
const bloom = (n_layer, hidden_size, n_head) => ({
  model_type: 'bloom',
  n_layer,
  hidden_size,
  n_head,
  vocab_size: 250880,
});
const mpt = (n_layers, d_model, n_heads, others) => ({
  model_type: 'mpt',
  n_layers,
  d_model,
  n_heads,
  vocab_size: 50432,
  ...others,
});
const tower = (hidden_size, num_hidden_layers, num_attention_heads, others = {}) => ({
  hidden_size,
  num_hidden_layers,
  num_attention_heads,
  intermediate_size: 4 * hidden_size,
  ...others,
});
const vit = (hidden_size, num_hidden_layers, num_attention_heads, others = {}) => ({
  model_type: 'vit',
  ...tower(hidden_size, num_hidden_layers, num_attention_heads, others),
});

export const groups = [
  // Vectors of texts.
  {
    task: 'feature-extraction',
    config: minilm6,
    millions: 22.7,
    ids: {
      sbo: [
        'sentence-transformers/all-MiniLM-L6-v2',
        'sentence-transformers/paraphrase-MiniLM-L6-v2',
        'sentence-transformers/multi-qa-MiniLM-L6-cos-v1',
      ],
      s: ['TaylorAI/gte-tiny', 'Snowflake/snowflake-arctic-embed-xs'],
      o: ['Xenova/all-MiniLM-L6-v2', 'Xenova/paraphrase-MiniLM-L6-v2'],
    },
  },
  {
    task: 'feature-extraction',
    config: bert(384, 3, 12),
    millions: 17.4,
    ids: { s: ['sentence-transformers/paraphrase-MiniLM-L3-v2', 'TaylorAI/bge-micro-v2'] },
  },
  {
    task: 'feature-extraction',
    config: minilm12,
    millions: 33.4,
    ids: {
      s: [
        'sentence-transformers/all-MiniLM-L12-v2',
        'BAAI/bge-small-en-v1.5',
        'BAAI/bge-small-en',
        'thenlper/gte-small',
        'intfloat/e5-small-v2',
        'intfloat/e5-small',
        'Snowflake/snowflake-arctic-embed-s',
        'avsolatorio/GIST-small-Embedding-v0',
      ],
      o: ['Xenova/bge-small-en-v1.5', 'Xenova/gte-small', 'Xenova/e5-small-v2', 'Xenova/all-MiniLM-L12-v2'],
    },
  },
  {
    task: 'feature-extraction',
    config: bert(384, 12, 12, 250037),
    millions: 118,
    ids: {
      s: ['sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2', 'intfloat/multilingual-e5-small'],
      o: ['Xenova/paraphrase-multilingual-MiniLM-L12-v2', 'Xenova/multilingual-e5-small'],
    },
  },
  {
    task: 'feature-extraction',
    config: base,
    millions: 109,
    ids: {
      s: [
        'BAAI/bge-base-en-v1.5',
        'BAAI/bge-base-en',
        'thenlper/gte-base',
        'intfloat/e5-base-v2',
        'intfloat/e5-base',
        'Snowflake/snowflake-arctic-embed-m',
        'Snowflake/snowflake-arctic-embed-m-v1.5',
        'avsolatorio/GIST-Embedding-v0',
        'sentence-transformers/bert-base-nli-mean-tokens',
        ['colbert-ir/colbertv2.0', {}, 109.5],
      ],
      o: ['Xenova/bge-base-en-v1.5', 'Xenova/gte-base'],
      b: ['facebook/contriever', 'facebook/contriever-msmarco'],
    },
  },
  {
    task: 'feature-extraction',
    config: large,
    millions: 335,
    ids: {
      s: [
        'BAAI/bge-large-en-v1.5',
        'BAAI/bge-large-en',
        'thenlper/gte-large',
        'intfloat/e5-large-v2',
        'WhereIsAI/UAE-Large-V1',
        'mixedbread-ai/mxbai-embed-large-v1',
        'Snowflake/snowflake-arctic-embed-l',
        'avsolatorio/GIST-large-Embedding-v0',
      ],
    },
  },
  {
    task: 'feature-extraction',
    config: bert(512, 4, 8, 21128),
    millions: 24,
    ids: { s: ['BAAI/bge-small-zh-v1.5'] },
  },
  {
    task: 'feature-extraction',
    config: bert(768, 12, 12, 21128),
    millions: 102,
    ids: { s: ['BAAI/bge-base-zh-v1.5', 'shibing624/text2vec-base-chinese'] },
  },
  {
    task: 'feature-extraction',
    config: bert(1024, 24, 16, 21128),
    millions: 326,
    ids: { s: ['BAAI/bge-large-zh-v1.5'] },
  },
  {
    task: 'feature-extraction',
    config: bert(768, 12, 12, 501153),
    millions: 471,
    ids: { s: ['sentence-transformers/LaBSE'] },
  },
  {
    task: 'feature-extraction',
    config: xlmRoberta(768, 12, 12),
    millions: 278,
    ids: {
      s: [
        'intfloat/multilingual-e5-base',
        'sentence-transformers/paraphrase-multilingual-mpnet-base-v2',
        'ibm-granite/granite-embedding-278m-multilingual',
      ],
    },
  },
  {
    task: 'feature-extraction',
    config: xlmRoberta(1024, 24, 16),
    millions: 560,
    ids: { s: ['intfloat/multilingual-e5-large', 'intfloat/multilingual-e5-large-instruct'] },
  },
  {
    task: 'feature-extraction',
    config: xlmRoberta(1024, 24, 16, { max_position_embeddings: 8194 }),
    millions: 568,
    ids: { bo: ['BAAI/bge-m3'], s: ['Snowflake/snowflake-arctic-embed-l-v2.0'] },
  },
  {
    task: 'feature-extraction',
    config: roberta(384, 6, 12, 50265),
    millions: 30.3,
    ids: { s: ['ibm-granite/granite-embedding-30m-english'] },
  },
  {
    task: 'feature-extraction',
    config: roberta(768, 12, 12),
    millions: 125,
    ids: { s: ['ibm-granite/granite-embedding-125m-english'] },
  },
  {
    task: 'feature-extraction',
    config: xlmRoberta(384, 6, 12),
    millions: 107,
    ids: { s: ['ibm-granite/granite-embedding-107m-multilingual'] },
  },
  {
    task: 'feature-extraction',
    config: roberta(1024, 24, 16),
    millions: 355,
    ids: { s: ['sentence-transformers/all-roberta-large-v1'] },
  },
  {
    task: 'feature-extraction',
    config: roberta(768, 6, 12),
    millions: 82,
    ids: {
      s: ['sentence-transformers/all-distilroberta-v1', 'sentence-transformers/paraphrase-distilroberta-base-v1'],
    },
  },
  {
    task: 'feature-extraction',
    config: { model_type: 'mpnet', vocab_size: 30527, max_position_embeddings: 514 },
    millions: 109.5,
    ids: {
      s: [
        'sentence-transformers/all-mpnet-base-v2',
        'sentence-transformers/multi-qa-mpnet-base-dot-v1',
        'sentence-transformers/multi-qa-mpnet-base-cos-v1',
        'sentence-transformers/paraphrase-mpnet-base-v2',
      ],
    },
  },
  {
    task: 'feature-extraction',
    config: distil(),
    millions: 66.4,
    ids: {
      s: ['sentence-transformers/msmarco-distilbert-base-tas-b', 'sentence-transformers/multi-qa-distilbert-cos-v1'],
    },
  },
  {
    task: 'feature-extraction',
    config: distil({ vocab_size: 119547 }),
    millions: 134.7,
    ids: {
      s: [
        'sentence-transformers/distiluse-base-multilingual-cased-v1',
        'sentence-transformers/distiluse-base-multilingual-cased-v2',
      ],
    },
  },
  {
    task: 'feature-extraction',
    config: {
      model_type: 'albert',
      vocab_size: 30000,
      embedding_size: 128,
      hidden_size: 768,
      num_hidden_layers: 6,
      num_attention_heads: 12,
      intermediate_size: 3072,
    },
    millions: 11.7,
    ids: { s: ['sentence-transformers/paraphrase-albert-small-v2'] },
  },
  {
    task: 'feature-extraction',
    config: decoder('modernbert', 22, 768, 12, 12, 1152, 50368),
    millions: 149,
    ids: { s: ['Alibaba-NLP/gte-modernbert-base', 'nomic-ai/modernbert-embed-base', 'lightonai/GTE-ModernColBERT-v1'] },
  },
  {
    task: 'feature-extraction',
    config: decoder('gemma3_text', 24, 768, 3, 1, 1152, 262144, { head_dim: 256, use_bidirectional_attention: true }),
    millions: 303,
    ids: { s: ['google/embeddinggemma-300m'] },
  },
  {
    task: 'feature-extraction',
    config: qwen3(28, 1024, 16, 8, 3072),
    millions: 596,
    ids: { s: ['Qwen/Qwen3-Embedding-0.6B'] },
  },
  {
    task: 'feature-extraction',
    config: qwen3(36, 2560, 32, 8, 9728),
    millions: 4022,
    ids: { s: ['Qwen/Qwen3-Embedding-4B'] },
  },
  {
    task: 'feature-extraction',
    config: t5(12, 768, 3072, 12),
    head: 'none',
    variant: { is_encoder_decoder: false },
    millions: 110,
    ids: { s: ['sentence-transformers/gtr-t5-base', 'sentence-transformers/sentence-t5-base'] },
  },

  // Reranking.
  {
    task: 'text-ranking',
    config: minilm6,
    millions: 22.7,
    labels: 1,
    ids: { s: ['cross-encoder/ms-marco-MiniLM-L6-v2'] },
  },
  {
    task: 'text-ranking',
    config: minilm12,
    millions: 33.4,
    labels: 1,
    ids: { s: ['cross-encoder/ms-marco-MiniLM-L12-v2'] },
  },
  {
    task: 'text-ranking',
    config: bert(384, 4, 12),
    millions: 19.2,
    labels: 1,
    ids: { s: ['cross-encoder/ms-marco-MiniLM-L4-v2'] },
  },
  {
    task: 'text-ranking',
    config: bert(128, 2, 2),
    millions: 4.39,
    labels: 1,
    ids: { s: ['cross-encoder/ms-marco-TinyBERT-L2-v2'] },
  },
  {
    task: 'text-ranking',
    config: xlmRoberta(768, 12, 12),
    millions: 278,
    labels: 1,
    ids: { s: ['BAAI/bge-reranker-base'] },
  },
  {
    task: 'text-ranking',
    config: xlmRoberta(1024, 24, 16),
    millions: 560,
    labels: 1,
    ids: { s: ['BAAI/bge-reranker-large'] },
  },
  {
    task: 'text-ranking',
    config: xlmRoberta(1024, 24, 16, { max_position_embeddings: 8194 }),
    labels: 1,
    millions: 568,
    ids: { s: ['BAAI/bge-reranker-v2-m3'] },
  },
  {
    task: 'text-ranking',
    config: deberta(384, 12, 6),
    millions: 70.8,
    labels: 1,
    ids: { s: ['mixedbread-ai/mxbai-rerank-xsmall-v1'] },
  },
  {
    task: 'text-ranking',
    config: deberta(768, 12, 12),
    millions: 184,
    labels: 1,
    ids: { s: ['mixedbread-ai/mxbai-rerank-base-v1'] },
  },
  {
    task: 'text-ranking',
    config: deberta(1024, 24, 16),
    millions: 435,
    labels: 1,
    ids: { s: ['mixedbread-ai/mxbai-rerank-large-v1'] },
  },
  {
    task: 'text-ranking',
    config: roberta(768, 12, 12),
    millions: 125,
    labels: 1,
    ids: { s: ['cross-encoder/stsb-roberta-base'] },
  },
  {
    task: 'text-ranking',
    config: decoder('modernbert', 22, 768, 12, 12, 1152, 50368),
    labels: 1,
    millions: 150,
    ids: { s: ['Alibaba-NLP/gte-reranker-modernbert-base'] },
  },
  {
    task: 'text-ranking',
    head: 'language-model',
    config: qwen3(28, 1024, 16, 8, 3072),
    millions: 596,
    ids: { s: ['Qwen/Qwen3-Reranker-0.6B'] },
  },
  {
    task: 'text-ranking',
    head: 'language-model',
    config: qwen2(24, 896, 14, 2, 4864),
    millions: 494,
    ids: { s: ['mixedbread-ai/mxbai-rerank-base-v2'] },
  },
  {
    task: 'text-ranking',
    head: 'language-model',
    config: qwen2(28, 1536, 12, 2, 8960),
    millions: 1544,
    ids: { s: ['mixedbread-ai/mxbai-rerank-large-v2'] },
  },

  // Hidden words.
  {
    task: 'fill-mask',
    config: base,
    millions: 110,
    ids: {
      sb: [
        'google-bert/bert-base-uncased',
        ['google-bert/bert-base-cased', { vocab_size: 28996 }, 108],
        ['google-bert/bert-base-chinese', { vocab_size: 21128 }, 103],
        ['google-bert/bert-base-german-cased', { vocab_size: 30000 }, 110],
        ['google-bert/bert-base-multilingual-cased', { vocab_size: 119547 }, 179],
        ['google-bert/bert-base-multilingual-uncased', { vocab_size: 105879 }, 168],
      ],
      b: [
        ['hfl/chinese-roberta-wwm-ext', { vocab_size: 21128 }, 102],
        ['hfl/chinese-macbert-base', { vocab_size: 21128 }, 102],
        ['hfl/chinese-bert-wwm-ext', { vocab_size: 21128 }, 102],
        ['neuralmind/bert-base-portuguese-cased', { vocab_size: 29794 }, 109],
        ['dbmdz/bert-base-turkish-cased', { vocab_size: 32000 }, 111],
        ['aubmindlab/bert-base-arabertv02', { vocab_size: 64000 }, 135],
        ['dccuchile/bert-base-spanish-wwm-cased', { vocab_size: 31002 }, 110],
        ['dccuchile/bert-base-spanish-wwm-uncased', { vocab_size: 31002 }, 110],
        ['GroNLP/bert-base-dutch-cased', { vocab_size: 30073 }, 109],
        ['TurkuNLP/bert-base-finnish-cased-v1', { vocab_size: 50105 }, 125],
        ['KB/bert-base-swedish-cased', { vocab_size: 50325 }, 125],
        ['emilyalsentzer/Bio_ClinicalBERT', { vocab_size: 28996 }, 108],
        ['dmis-lab/biobert-v1.1', { vocab_size: 28996 }, 108],
        ['allenai/scibert_scivocab_uncased', { vocab_size: 31090 }, 110],
        'microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext',
        'nlpaueb/legal-bert-base-uncased',
      ],
    },
  },
  {
    task: 'fill-mask',
    config: large,
    millions: 335,
    ids: {
      sb: [
        'google-bert/bert-large-uncased',
        'google-bert/bert-large-uncased-whole-word-masking',
        ['google-bert/bert-large-cased', { vocab_size: 28996 }, 333],
      ],
    },
  },
  {
    task: 'fill-mask',
    config: bert(128, 2, 2),
    millions: 4.4,
    ids: {
      b: [
        'prajjwal1/bert-tiny',
        ['prajjwal1/bert-mini', bert(256, 4, 4), 11.2],
        ['prajjwal1/bert-small', bert(512, 4, 8), 28.8],
        ['prajjwal1/bert-medium', bert(512, 8, 8), 41.4],
      ],
    },
  },
  {
    task: 'fill-mask',
    config: distil(),
    millions: 67,
    ids: {
      sb: [
        'distilbert/distilbert-base-uncased',
        ['distilbert/distilbert-base-cased', { vocab_size: 28996 }, 65.8],
        ['distilbert/distilbert-base-multilingual-cased', { vocab_size: 119547 }, 135.4],
      ],
    },
  },
  {
    task: 'fill-mask',
    config: roberta(768, 12, 12),
    millions: 125,
    ids: { sb: ['FacebookAI/roberta-base'], b: ['microsoft/codebert-base-mlm'] },
  },
  {
    task: 'fill-mask',
    config: roberta(1024, 24, 16),
    millions: 355,
    ids: { sb: ['FacebookAI/roberta-large'] },
  },
  {
    task: 'fill-mask',
    config: roberta(768, 6, 12),
    millions: 82.1,
    ids: { sb: ['distilbert/distilroberta-base'] },
  },
  {
    task: 'fill-mask',
    config: xlmRoberta(768, 12, 12),
    millions: 278,
    ids: { sb: ['FacebookAI/xlm-roberta-base'] },
  },
  {
    task: 'fill-mask',
    config: xlmRoberta(1024, 24, 16),
    millions: 560,
    ids: { sb: ['FacebookAI/xlm-roberta-large'] },
  },
  {
    task: 'fill-mask',
    config: { model_type: 'mpnet', vocab_size: 30527, max_position_embeddings: 514 },
    millions: 110,
    ids: { b: ['microsoft/mpnet-base'] },
  },
  {
    task: 'fill-mask',
    config: {
      model_type: 'albert',
      vocab_size: 30000,
      embedding_size: 128,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
    },
    millions: 11.2,
    ids: { sb: ['albert/albert-base-v2'] },
  },
  {
    task: 'zero-shot-classification',
    config: { model_type: 'mobilebert', vocab_size: 30522 },
    labels: 3,
    millions: 24.6,
    ids: { o: ['Xenova/mobilebert-uncased-mnli'] },
  },
  {
    task: 'fill-mask',
    config: decoder('modernbert', 22, 768, 12, 12, 1152, 50368),
    millions: 149.6,
    ids: { s: ['answerdotai/ModernBERT-base'] },
  },
  {
    task: 'fill-mask',
    config: decoder('modernbert', 28, 1024, 16, 16, 2624, 50368),
    millions: 395.8,
    ids: { s: ['answerdotai/ModernBERT-large'] },
  },
  {
    task: 'feature-extraction',
    head: 'discriminator',
    millions: 13.5,
    config: {
      model_type: 'electra',
      vocab_size: 30522,
      embedding_size: 128,
      hidden_size: 256,
      num_hidden_layers: 12,
      num_attention_heads: 4,
      intermediate_size: 1024,
    },
    ids: { b: ['google/electra-small-discriminator'] },
  },
  {
    task: 'feature-extraction',
    millions: 118,
    config: {
      model_type: 'ernie',
      vocab_size: 40000,
      max_position_embeddings: 2048,
      type_vocab_size: 4,
      task_type_vocab_size: 16,
      use_task_id: true,
    },
    ids: { b: ['nghuyong/ernie-3.0-base-zh'] },
  },
  {
    task: 'feature-extraction',
    config: { model_type: 'convbert', vocab_size: 30522 },
    millions: 106,
    ids: { b: ['YituTech/conv-bert-base'] },
  },
  {
    task: 'feature-extraction',
    head: 'discriminator',
    millions: 109.5,
    config: {
      model_type: 'electra',
      vocab_size: 30522,
      embedding_size: 768,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
    },
    ids: { b: ['google/electra-base-discriminator'] },
  },
  {
    task: 'feature-extraction',
    head: 'discriminator',
    millions: 335,
    config: {
      model_type: 'electra',
      vocab_size: 30522,
      embedding_size: 1024,
      hidden_size: 1024,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      intermediate_size: 4096,
    },
    ids: { b: ['google/electra-large-discriminator'] },
  },
  {
    task: 'feature-extraction',
    config: deberta(384, 12, 6),
    head: 'none',
    millions: 70.7,
    ids: { b: ['microsoft/deberta-v3-xsmall'] },
  },
  {
    task: 'feature-extraction',
    config: deberta(768, 6, 12),
    head: 'none',
    millions: 141,
    ids: { b: ['microsoft/deberta-v3-small'] },
  },
  {
    task: 'feature-extraction',
    config: deberta(768, 12, 12),
    head: 'none',
    millions: 184,
    ids: { b: ['microsoft/deberta-v3-base'] },
  },
  {
    task: 'feature-extraction',
    config: deberta(1024, 24, 16),
    head: 'none',
    millions: 434,
    ids: { b: ['microsoft/deberta-v3-large'] },
  },
  {
    task: 'feature-extraction',
    config: deberta(768, 12, 12, 251000),
    head: 'none',
    millions: 278,
    ids: { b: ['microsoft/mdeberta-v3-base'] },
  },

  // Labels of texts.
  {
    task: 'text-classification',
    config: distil(),
    millions: 67,
    ids: {
      s: [
        'distilbert/distilbert-base-uncased-finetuned-sst-2-english',
        ['bhadresh-savani/distilbert-base-uncased-emotion', labels(6)],
        ['lxyuan/distilbert-base-multilingual-cased-sentiments-student', { vocab_size: 119547, ...labels(3) }, 135],
      ],
      o: ['Xenova/distilbert-base-uncased-finetuned-sst-2-english'],
    },
  },
  {
    task: 'text-classification',
    config: base,
    millions: 109,
    labels: 3,
    ids: { b: ['ProsusAI/finbert'] },
  },
  {
    task: 'text-classification',
    config: base,
    millions: 109,
    ids: {
      s: [
        ['unitary/toxic-bert', labels(6)],
        ['nlptown/bert-base-multilingual-uncased-sentiment', { vocab_size: 105879, ...labels(5) }, 167],
      ],
    },
  },
  {
    task: 'text-classification',
    config: roberta(768, 12, 12),
    millions: 125,
    ids: {
      s: [['SamLowe/roberta-base-go_emotions', labels(28)]],
      b: [
        ['cardiffnlp/twitter-roberta-base-sentiment-latest', labels(3)],
        ['cardiffnlp/twitter-roberta-base-sentiment', labels(3)],
        's-nlp/roberta_toxicity_classifier',
      ],
    },
  },
  {
    task: 'text-classification',
    config: roberta(768, 6, 12),
    millions: 82,
    ids: { b: [['j-hartmann/emotion-english-distilroberta-base', labels(7)]] },
  },
  {
    task: 'text-classification',
    config: xlmRoberta(768, 12, 12),
    millions: 278,
    ids: {
      s: [['papluca/xlm-roberta-base-language-detection', labels(20)]],
      b: [['cardiffnlp/twitter-xlm-roberta-base-sentiment', labels(3)]],
    },
  },
  {
    task: 'text-classification',
    config: deberta(768, 12, 12),
    millions: 184,
    ids: { s: ['protectai/deberta-v3-base-prompt-injection-v2'] },
  },
  {
    task: 'zero-shot-classification',
    config: deberta(768, 12, 12),
    millions: 184,
    ids: {
      s: [
        'MoritzLaurer/deberta-v3-base-zeroshot-v2.0',
        ['MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli', labels(3)],
        ['cross-encoder/nli-deberta-v3-base', labels(3)],
      ],
    },
  },
  {
    task: 'zero-shot-classification',
    config: deberta(1024, 24, 16),
    millions: 435,
    ids: { s: ['MoritzLaurer/deberta-v3-large-zeroshot-v2.0'] },
  },
  {
    task: 'zero-shot-classification',
    config: deberta(384, 12, 6),
    millions: 70.8,
    ids: {
      s: ['MoritzLaurer/deberta-v3-xsmall-zeroshot-v1.1-all-33', ['cross-encoder/nli-deberta-v3-xsmall', labels(3)]],
    },
  },
  {
    task: 'zero-shot-classification',
    config: deberta(768, 6, 12),
    millions: 142,
    labels: 3,
    ids: { s: ['cross-encoder/nli-deberta-v3-small'] },
  },
  {
    task: 'zero-shot-classification',
    config: deberta(768, 12, 12, 251000),
    millions: 279,
    labels: 3,
    ids: { s: ['MoritzLaurer/mDeBERTa-v3-base-mnli-xnli'] },
  },
  {
    task: 'zero-shot-classification',
    config: bartOf('bart', 12, 1024, 4096, 16, 50265),
    labels: 3,
    millions: 407,
    ids: { s: ['facebook/bart-large-mnli'] },
  },
  {
    task: 'zero-shot-classification',
    config: roberta(1024, 24, 16),
    labels: 3,
    millions: 356,
    ids: { s: ['FacebookAI/roberta-large-mnli'] },
  },
  {
    task: 'zero-shot-classification',
    config: xlmRoberta(1024, 24, 16),
    labels: 3,
    millions: 560,
    ids: { s: ['joeddav/xlm-roberta-large-xnli'] },
  },
  {
    task: 'zero-shot-classification',
    config: distil(),
    labels: 3,
    millions: 67,
    ids: { s: ['typeform/distilbert-base-uncased-mnli'] },
  },

  // Labels of tokens, and answers within a text.
  {
    task: 'token-classification',
    config: cased,
    millions: 108,
    labels: 9,
    ids: {
      s: ['dslim/bert-base-NER', ['dslim/bert-large-NER', bert(1024, 24, 16, 28996), 333]],
      o: ['Xenova/bert-base-NER'],
    },
  },
  {
    task: 'token-classification',
    config: distil({ vocab_size: 28996 }),
    millions: 65.2,
    labels: 9,
    ids: { s: ['dslim/distilbert-NER'] },
  },
  {
    task: 'token-classification',
    config: distil(),
    millions: 66.4,
    labels: 9,
    ids: { s: ['elastic/distilbert-base-uncased-finetuned-conll03-english'] },
  },
  {
    task: 'token-classification',
    config: bert(1024, 24, 16, 28996),
    millions: 333,
    labels: 9,
    ids: { s: ['dbmdz/bert-large-cased-finetuned-conll03-english'] },
  },
  {
    task: 'token-classification',
    config: xlmRoberta(1024, 24, 16),
    millions: 559,
    labels: 8,
    ids: { s: ['FacebookAI/xlm-roberta-large-finetuned-conll03-english'] },
  },
  {
    task: 'token-classification',
    config: xlmRoberta(768, 12, 12),
    millions: 277,
    labels: 9,
    ids: { b: ['Davlan/xlm-roberta-base-ner-hrl'] },
  },
  {
    task: 'token-classification',
    config: distil({ vocab_size: 119547 }),
    millions: 134.7,
    labels: 9,
    ids: { s: ['Davlan/distilbert-base-multilingual-cased-ner-hrl'] },
  },
  {
    task: 'question-answering',
    config: distil(),
    millions: 66.4,
    ids: {
      s: [
        'distilbert/distilbert-base-uncased-distilled-squad',
        ['distilbert/distilbert-base-cased-distilled-squad', { vocab_size: 28996 }, 65.2],
      ],
    },
  },
  {
    task: 'question-answering',
    config: distil({ vocab_size: 28996 }),
    millions: 65.2,
    ids: { o: ['Xenova/distilbert-base-cased-distilled-squad'] },
  },
  {
    task: 'question-answering',
    config: roberta(768, 12, 12),
    millions: 124,
    ids: { s: ['deepset/roberta-base-squad2', ['deepset/tinyroberta-squad2', roberta(768, 6, 12), 81.5]] },
  },
  {
    task: 'question-answering',
    config: large,
    millions: 334,
    ids: {
      s: [
        'google-bert/bert-large-uncased-whole-word-masking-finetuned-squad',
        'deepset/bert-large-uncased-whole-word-masking-squad2',
      ],
    },
  },
  {
    task: 'question-answering',
    config: deberta(768, 12, 12),
    millions: 184,
    ids: { s: ['deepset/deberta-v3-base-squad2'] },
  },
  {
    task: 'question-answering',
    config: deberta(1024, 24, 16),
    millions: 434,
    ids: { s: ['deepset/deberta-v3-large-squad2'] },
  },

  // Language models.
  {
    task: 'text-generation',
    config: { model_type: 'gpt2', vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12 },
    millions: 124.4,
    ids: {
      sb: [
        'openai-community/gpt2',
        ['distilbert/distilgpt2', { n_layer: 6 }, 81.9],
        ['openai-community/gpt2-medium', { n_embd: 1024, n_layer: 24, n_head: 16 }, 354.8],
        ['openai-community/gpt2-large', { n_embd: 1280, n_layer: 36, n_head: 20 }, 774],
        ['openai-community/gpt2-xl', { n_embd: 1600, n_layer: 48, n_head: 25 }, 1557.6],
      ],
      o: ['Xenova/gpt2', ['Xenova/distilgpt2', { n_layer: 6 }, 81.9]],
    },
  },
  {
    task: 'text-generation',
    config: qwen2(24, 896, 14, 2, 4864),
    millions: 494,
    ids: {
      s: [
        'Qwen/Qwen2.5-0.5B',
        'Qwen/Qwen2.5-0.5B-Instruct',
        'Qwen/Qwen2.5-Coder-0.5B-Instruct',
        'Qwen/Qwen2-0.5B-Instruct',
      ],
      o: ['onnx-community/Qwen2.5-0.5B-Instruct'],
    },
  },
  {
    task: 'text-generation',
    config: qwen2(28, 1536, 12, 2, 8960),
    millions: 1544,
    ids: {
      s: [
        'Qwen/Qwen2.5-1.5B-Instruct',
        'Qwen/Qwen2.5-Coder-1.5B-Instruct',
        'Qwen/Qwen2.5-Math-1.5B-Instruct',
        ['deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B', untied, 1777],
      ],
    },
  },
  {
    task: 'text-generation',
    config: qwen2(36, 2048, 16, 2, 11008),
    millions: 3086,
    ids: { s: ['Qwen/Qwen2.5-3B-Instruct', 'Qwen/Qwen2.5-Coder-3B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('qwen2', 28, 3584, 28, 4, 18944, 152064, untied),
    millions: 7616,
    ids: {
      s: ['Qwen/Qwen2.5-7B-Instruct', 'Qwen/Qwen2.5-Coder-7B-Instruct', 'deepseek-ai/DeepSeek-R1-Distill-Qwen-7B'],
    },
  },
  {
    task: 'text-generation',
    config: qwen3(28, 1024, 16, 8, 3072),
    millions: 596,
    ids: {
      s: ['Qwen/Qwen3-0.6B', 'Qwen/Qwen3-0.6B-Base'],
      g: ['Qwen/Qwen3-0.6B-GGUF'],
      o: ['onnx-community/Qwen3-0.6B-ONNX'],
    },
  },
  {
    task: 'text-generation',
    config: qwen3(28, 2048, 16, 8, 6144),
    millions: 1721,
    ids: { s: ['Qwen/Qwen3-1.7B'] },
  },
  {
    task: 'text-generation',
    config: qwen3(36, 2560, 32, 8, 9728),
    millions: 4022,
    ids: { s: ['Qwen/Qwen3-4B', 'Qwen/Qwen3-4B-Instruct-2507'] },
  },
  {
    task: 'text-generation',
    config: qwen3(36, 4096, 32, 8, 12288, untied),
    millions: 8191,
    ids: { s: ['Qwen/Qwen3-8B'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 16, 2048, 32, 8, 8192, 128256, { head_dim: 64, ...tied }),
    millions: 1236,
    ids: { s: ['meta-llama/Llama-3.2-1B', 'meta-llama/Llama-3.2-1B-Instruct', 'unsloth/Llama-3.2-1B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 28, 3072, 24, 8, 8192, 128256, { head_dim: 128, ...tied }),
    millions: 3213,
    ids: { s: ['meta-llama/Llama-3.2-3B-Instruct', 'unsloth/Llama-3.2-3B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 32, 4096, 32, 8, 14336, 128256, untied),
    millions: 8030,
    ids: {
      s: [
        'meta-llama/Llama-3.1-8B-Instruct',
        'meta-llama/Meta-Llama-3-8B-Instruct',
        'deepseek-ai/DeepSeek-R1-Distill-Llama-8B',
      ],
    },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 32, 4096, 32, 32, 11008, 32000, untied),
    millions: 6738,
    ids: { s: ['meta-llama/Llama-2-7b-chat-hf'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 22, 2048, 32, 4, 5632, 32000, untied),
    millions: 1100,
    ids: { s: ['TinyLlama/TinyLlama-1.1B-Chat-v1.0'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 30, 576, 9, 3, 1536, 49152, tied),
    millions: 134.5,
    ids: {
      so: ['HuggingFaceTB/SmolLM2-135M-Instruct'],
      s: ['HuggingFaceTB/SmolLM2-135M', 'HuggingFaceTB/SmolLM-135M'],
    },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 32, 960, 15, 5, 2560, 49152, tied),
    millions: 361.8,
    ids: { s: ['HuggingFaceTB/SmolLM2-360M-Instruct', 'HuggingFaceTB/SmolLM-360M-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('llama', 24, 2048, 32, 32, 8192, 49152, tied),
    millions: 1711,
    ids: { s: ['HuggingFaceTB/SmolLM2-1.7B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('smollm3', 36, 2048, 16, 4, 11008, 128256, tied),
    millions: 3075,
    ids: { s: ['HuggingFaceTB/SmolLM3-3B'] },
  },
  {
    task: 'text-generation',
    config: decoder('gemma3_text', 18, 640, 4, 1, 2048, 262144, { head_dim: 256, ...tied }),
    millions: 268.1,
    ids: { s: ['google/gemma-3-270m', 'google/gemma-3-270m-it'] },
  },
  {
    task: 'text-generation',
    config: decoder('gemma3_text', 26, 1152, 4, 1, 6912, 262144, { head_dim: 256, ...tied }),
    millions: 999.9,
    ids: { s: ['google/gemma-3-1b-it', 'google/gemma-3-1b-pt'] },
  },
  {
    task: 'text-generation',
    config: decoder('gemma', 18, 2048, 8, 1, 16384, 256000, { head_dim: 256, ...tied }),
    millions: 2506,
    ids: { s: ['google/gemma-2b-it'] },
  },
  {
    task: 'text-generation',
    config: decoder('gemma2', 26, 2304, 8, 4, 9216, 256000, { head_dim: 256, ...tied }),
    millions: 2614,
    ids: { s: ['google/gemma-2-2b-it'] },
  },
  {
    task: 'text-generation',
    config: decoder('gemma2', 42, 3584, 16, 8, 14336, 256000, { head_dim: 256, ...tied }),
    millions: 9242,
    ids: { s: ['google/gemma-2-9b-it'] },
  },
  {
    task: 'text-generation',
    config: decoder('phi', 32, 2560, 32, 32, 10240, 51200, { partial_rotary_factor: 0.4, ...untied }),
    millions: 2780,
    ids: { s: ['microsoft/phi-2'] },
  },
  {
    task: 'text-generation',
    config: decoder('phi', 24, 2048, 32, 32, 8192, 51200, { partial_rotary_factor: 0.5, ...untied }),
    millions: 1418,
    ids: { s: ['microsoft/phi-1_5'] },
  },
  {
    task: 'text-generation',
    config: decoder('phi3', 32, 3072, 32, 32, 8192, 32064, untied),
    millions: 3821,
    ids: { s: ['microsoft/Phi-3-mini-4k-instruct', 'microsoft/Phi-3.5-mini-instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('phi3', 32, 3072, 24, 8, 8192, 200064, { partial_rotary_factor: 0.75, ...tied }),
    millions: 3836,
    ids: { s: ['microsoft/Phi-4-mini-instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('mistral', 32, 4096, 32, 8, 14336, 32000, untied),
    millions: 7242,
    ids: {
      s: [
        'mistralai/Mistral-7B-Instruct-v0.2',
        'mistralai/Mistral-7B-v0.1',
        ['mistralai/Mistral-7B-Instruct-v0.3', { vocab_size: 32768 }, 7248],
      ],
    },
  },
  {
    task: 'text-generation',
    config: neox(6, 512, 8),
    millions: 70.4,
    ids: {
      s: [
        'EleutherAI/pythia-70m',
        ['EleutherAI/pythia-160m', neox(12, 768, 12), 162.3],
        ['EleutherAI/pythia-410m', neox(24, 1024, 16), 405.3],
        ['EleutherAI/pythia-1b', neox(16, 2048, 8), 1011.8],
        ['EleutherAI/pythia-1.4b', neox(24, 2048, 16), 1414.6],
      ],
    },
  },
  {
    task: 'text-generation',
    config: { model_type: 'gptj', n_embd: 4096, n_layer: 28, n_head: 16, rotary_dim: 64, vocab_size: 50400 },
    millions: 6051,
    ids: { b: ['EleutherAI/gpt-j-6b'] },
  },
  {
    task: 'text-generation',
    config: opt(12, 768, 12),
    millions: 125.2,
    ids: {
      b: [
        'facebook/opt-125m',
        ['facebook/opt-350m', opt(24, 1024, 16, { word_embed_proj_dim: 512, do_layer_norm_before: false }), 331],
        ['facebook/opt-1.3b', opt(24, 2048, 32), 1316],
        ['facebook/opt-2.7b', opt(32, 2560, 32), 2652],
      ],
    },
  },
  {
    task: 'text-generation',
    config: bloom(24, 1024, 16),
    millions: 559.2,
    ids: {
      s: [
        'bigscience/bloom-560m',
        'bigscience/bloomz-560m',
        ['bigscience/bloom-1b1', bloom(24, 1536, 16), 1065],
        ['bigscience/bloom-1b7', bloom(24, 2048, 16), 1722],
        ['bigscience/bloomz-1b7', bloom(24, 2048, 16), 1722],
      ],
    },
  },
  {
    task: 'text-generation',
    config: mpt(32, 4096, 32, { max_seq_len: 2048 }),
    millions: 6650,
    ids: {
      b: [
        'mosaicml/mpt-7b',
        'mosaicml/mpt-7b-chat',
        'mosaicml/mpt-7b-instruct',
        ['mosaicml/mpt-7b-8k', mpt(32, 4096, 32, { max_seq_len: 8192 }), 6650],
        [
          'mosaicml/mpt-7b-storywriter',
          mpt(32, 4096, 32, { max_seq_len: 65536, attn_config: { clip_qkv: 6, alibi_bias_max: 16 } }),
          6650,
        ],
        ['mosaicml/mpt-30b', mpt(48, 7168, 64, { max_seq_len: 8192 }), 29960],
      ],
    },
  },
  {
    task: 'text-generation',
    config: {
      model_type: 'falcon',
      num_hidden_layers: 32,
      hidden_size: 4544,
      num_attention_heads: 71,
      vocab_size: 65024,
      multi_query: true,
      parallel_attn: true,
      bias: false,
      alibi: false,
    },
    millions: 6922,
    ids: { s: ['tiiuae/falcon-7b', 'tiiuae/falcon-7b-instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('stablelm', 24, 2048, 32, 32, 5632, 100352, {
      use_qkv_bias: true,
      partial_rotary_factor: 0.25,
      ...untied,
    }),
    millions: 1644.5,
    ids: { s: ['stabilityai/stablelm-2-1_6b', 'stabilityai/stablelm-2-zephyr-1_6b'] },
  },
  {
    task: 'text-generation',
    config: decoder('starcoder2', 30, 3072, 24, 2, 12288, 49152, { use_bias: true, ...tied }),
    millions: 3030,
    ids: { s: ['bigcode/starcoder2-3b'] },
  },
  {
    task: 'text-generation',
    config: decoder('olmo2', 16, 2048, 16, 16, 8192, 100352, untied),
    millions: 1485,
    ids: { s: ['allenai/OLMo-2-0425-1B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('olmo2', 32, 4096, 32, 32, 11008, 100352, untied),
    millions: 7299,
    ids: { s: ['allenai/OLMo-2-1124-7B-Instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('granite', 40, 2048, 32, 8, 8192, 49159, tied),
    millions: 2534,
    ids: { s: ['ibm-granite/granite-3.3-2b-instruct'] },
  },
  {
    task: 'text-generation',
    config: decoder('ernie4_5', 18, 1024, 16, 2, 3072, 103424, { head_dim: 128, ...tied }),
    millions: 360.7,
    ids: { s: ['baidu/ERNIE-4.5-0.3B-PT'] },
  },

  // From text to text.
  {
    task: 'translation',
    config: t5(6, 512, 2048, 8),
    millions: 60.5,
    ids: {
      sb: [
        'google-t5/t5-small',
        ['google-t5/t5-base', t5(12, 768, 3072, 12), 223],
        ['google-t5/t5-large', t5(24, 1024, 4096, 16), 738],
      ],
      o: ['Xenova/t5-small'],
    },
  },
  {
    task: 'text2text-generation',
    config: t5(8, 512, 1024, 6, flan),
    millions: 77,
    ids: {
      s: [
        'google/flan-t5-small',
        ['google/flan-t5-base', t5(12, 768, 2048, 12, flan), 247.6],
        ['google/flan-t5-large', t5(24, 1024, 2816, 16, flan), 783],
        ['google/flan-t5-xl', t5(24, 2048, 5120, 32, flan), 2850],
      ],
      o: [
        'Xenova/flan-t5-small',
        'Xenova/LaMini-Flan-T5-77M',
        ['Xenova/LaMini-Flan-T5-248M', t5(12, 768, 2048, 12, flan), 247.6],
        ['Xenova/LaMini-Flan-T5-783M', t5(24, 1024, 2816, 16, flan), 783],
      ],
    },
  },
  {
    task: 'text2text-generation',
    config: { ...t5(8, 512, 1024, 6, flan), model_type: 'mt5', vocab_size: 250112 },
    millions: 300,
    ids: {
      b: [
        'google/mt5-small',
        ['google/mt5-base', { ...t5(12, 768, 2048, 12, flan), model_type: 'mt5', vocab_size: 250112 }, 582],
      ],
    },
  },
  {
    task: 'text2text-generation',
    config: { ...t5(8, 512, 1024, 6, flan), model_type: 'umt5', vocab_size: 256384 },
    millions: 306.6,
    ids: { b: ['google/umt5-small'] },
  },
  {
    task: 'text2text-generation',
    config: bartOf('blenderbot-small', 8, 512, 2048, 16, 54944),
    millions: 87.5,
    ids: { b: ['facebook/blenderbot_small-90M'] },
  },
  {
    task: 'summarization',
    config: bartOf('bart', 12, 1024, 4096, 16, 50264),
    millions: 406,
    ids: { s: ['facebook/bart-large-cnn', 'philschmid/bart-large-cnn-samsum', 'facebook/bart-large-xsum'] },
  },
  {
    task: 'summarization',
    config: bartOf('bart', 12, 1024, 4096, 16, 50264, { decoder_layers: 6 }),
    millions: 305.5,
    ids: { s: ['sshleifer/distilbart-cnn-12-6'] },
  },
  {
    task: 'summarization',
    config: bartOf('bart', 12, 1024, 4096, 16, 50264, { encoder_layers: 6, decoder_layers: 6 }),
    millions: 230,
    ids: { o: ['Xenova/distilbart-cnn-6-6'] },
  },
  {
    task: 'text2text-generation',
    config: bartOf('bart', 6, 768, 3072, 12, 50265),
    millions: 139.4,
    ids: { s: ['facebook/bart-base'] },
  },
  {
    task: 'text2text-generation',
    config: bartOf('bart', 12, 1024, 4096, 16, 50265),
    millions: 406,
    ids: { s: ['facebook/bart-large'] },
  },
  {
    task: 'summarization',
    config: bartOf('pegasus', 16, 1024, 4096, 16, 96103, { max_position_embeddings: 512 }),
    millions: 569,
    ids: { b: ['google/pegasus-xsum', ['google/pegasus-cnn_dailymail', { max_position_embeddings: 1024 }, 571]] },
  },
  {
    task: 'translation',
    config: marian(58101),
    millions: 74.4,
    ids: {
      b: [
        'Helsinki-NLP/opus-mt-en-de',
        'Helsinki-NLP/opus-mt-de-en',
        ['Helsinki-NLP/opus-mt-en-fr', marian(59514), 75.1],
        ['Helsinki-NLP/opus-mt-fr-en', marian(59514), 75.1],
        ['Helsinki-NLP/opus-mt-en-es', marian(65001), 77.9],
        ['Helsinki-NLP/opus-mt-es-en', marian(65001), 77.9],
        ['Helsinki-NLP/opus-mt-en-zh', marian(65001), 77.9],
        ['Helsinki-NLP/opus-mt-zh-en', marian(65001), 77.9],
        ['Helsinki-NLP/opus-mt-en-ru', marian(62518), 76.7],
        ['Helsinki-NLP/opus-mt-ru-en', marian(62518), 76.7],
      ],
      o: ['Xenova/opus-mt-en-de', 'Xenova/opus-mt-de-en'],
    },
  },
  {
    task: 'translation',
    config: bartOf('m2m_100', 12, 1024, 4096, 16, 128112),
    millions: 484,
    ids: { b: ['facebook/m2m100_418M'] },
  },
  {
    task: 'translation',
    config: bartOf('m2m_100', 12, 1024, 4096, 16, 256206),
    millions: 615,
    ids: { b: ['facebook/nllb-200-distilled-600M'], o: ['Xenova/nllb-200-distilled-600M'] },
  },
  {
    task: 'translation',
    config: bartOf('mbart', 12, 1024, 4096, 16, 250054),
    millions: 611,
    ids: { s: ['facebook/mbart-large-50-many-to-many-mmt'] },
  },
  {
    task: 'text-generation',
    head: 'language-model',
    config: bartOf('blenderbot', 2, 1280, 5120, 32, 8008, {
      encoder_layers: 2,
      decoder_layers: 12,
      max_position_embeddings: 128,
    }),
    millions: 364.8,
    ids: { b: ['facebook/blenderbot-400M-distill'] },
    shown: 'text2text-generation',
  },

  // Sounds.
  {
    task: 'automatic-speech-recognition',
    config: whisper(4, 4, 384, 6),
    head: 'language-model',
    millions: 37.8,
    ids: {
      s: [
        'openai/whisper-tiny',
        ['openai/whisper-tiny.en', english],
        ['openai/whisper-base', whisper(6, 6, 512, 8), 72.6],
        ['openai/whisper-base.en', whisper(6, 6, 512, 8, english), 72.6],
        ['openai/whisper-small', whisper(12, 12, 768, 12), 241.7],
        ['openai/whisper-small.en', whisper(12, 12, 768, 12, english), 241.7],
        ['openai/whisper-medium', whisper(24, 24, 1024, 16), 763.9],
        ['openai/whisper-large-v2', whisper(32, 32, 1280, 20), 1543],
        ['openai/whisper-large-v3', whisper(32, 32, 1280, 20, { num_mel_bins: 128, vocab_size: 51866 }), 1543],
        ['openai/whisper-large-v3-turbo', whisper(32, 4, 1280, 20, { num_mel_bins: 128, vocab_size: 51866 }), 809],
        ['distil-whisper/distil-small.en', whisper(12, 4, 768, 12, english), 166],
        ['distil-whisper/distil-large-v3', whisper(32, 2, 1280, 20, { num_mel_bins: 128, vocab_size: 51866 }), 756],
      ],
      o: [
        'Xenova/whisper-tiny',
        ['Xenova/whisper-tiny.en', english],
        ['Xenova/whisper-base', whisper(6, 6, 512, 8), 72.6],
        ['Xenova/whisper-small', whisper(12, 12, 768, 12), 241.7],
        ['onnx-community/whisper-base', whisper(6, 6, 512, 8), 72.6],
      ],
    },
  },
  {
    task: 'automatic-speech-recognition',
    config: { model_type: 'wav2vec2' },
    head: 'ctc',
    millions: 94.4,
    ids: { s: ['facebook/wav2vec2-base-960h'] },
  },
  {
    task: 'audio-classification',
    config: { model_type: 'audio-spectrogram-transformer' },
    labels: 527,
    millions: 86.6,
    ids: { s: ['MIT/ast-finetuned-audioset-10-10-0.4593'] },
  },
  {
    task: 'feature-extraction',
    shown: 'features of sounds',
    config: { model_type: 'wavlm' },
    head: 'none',
    millions: 94.4,
    ids: { b: ['microsoft/wavlm-base', 'microsoft/wavlm-base-plus'] },
  },
  {
    task: 'automatic-speech-recognition',
    head: 'ctc',
    millions: 315.5,
    config: {
      model_type: 'wav2vec2',
      hidden_size: 1024,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      intermediate_size: 4096,
    },
    ids: {
      s: [
        'facebook/wav2vec2-large-960h',
        [
          'jonatasgrosman/wav2vec2-large-xlsr-53-english',
          { vocab_size: 33, feat_extract_norm: 'layer', conv_bias: true, do_stable_layer_norm: true },
        ],
      ],
    },
  },
  {
    task: 'text-to-speech',
    config: { model_type: 'vits' },
    head: 'none',
    millions: 36.3,
    ids: { s: ['facebook/mms-tts-eng'] },
  },
  {
    task: 'text-to-speech',
    config: { model_type: 'speecht5', vocab_size: 81 },
    head: 'text-to-speech',
    millions: 144,
    ids: { b: ['microsoft/speecht5_tts'] },
  },
  {
    task: 'automatic-speech-recognition',
    config: {
      model_type: 'moonshine',
      hidden_size: 288,
      intermediate_size: 1152,
      encoder_num_hidden_layers: 6,
      decoder_num_hidden_layers: 6,
      encoder_num_attention_heads: 8,
      decoder_num_attention_heads: 8,
    },
    head: 'language-model',
    millions: 27.1,
    ids: { s: ['UsefulSensors/moonshine-tiny'] },
  },
  {
    task: 'automatic-speech-recognition',
    config: {
      model_type: 'moonshine',
      hidden_size: 416,
      intermediate_size: 1664,
      encoder_num_hidden_layers: 8,
      decoder_num_hidden_layers: 8,
      encoder_num_attention_heads: 8,
      decoder_num_attention_heads: 8,
    },
    head: 'language-model',
    millions: 61.5,
    ids: { s: ['UsefulSensors/moonshine-base'] },
  },

  // Images.
  {
    task: 'zero-shot-image-classification',
    config: { model_type: 'clip' },
    millions: 151.3,
    ids: { b: ['openai/clip-vit-base-patch32'], o: ['Xenova/clip-vit-base-patch32'] },
  },
  {
    task: 'zero-shot-image-classification',
    config: { model_type: 'clip', vision_config: { patch_size: 16 } },
    millions: 149.6,
    ids: { b: ['openai/clip-vit-base-patch16'] },
  },
  {
    task: 'zero-shot-image-classification',
    config: {
      model_type: 'clip',
      projection_dim: 768,
      text_config: tower(768, 12, 12),
      vision_config: tower(1024, 24, 16, { patch_size: 14 }),
    },
    millions: 427.6,
    ids: { s: ['openai/clip-vit-large-patch14'] },
  },
  {
    task: 'zero-shot-image-classification',
    config: { model_type: 'siglip' },
    millions: 203,
    ids: { s: ['google/siglip-base-patch16-224'] },
  },
  {
    task: 'image-classification',
    config: { model_type: 'resnet' },
    labels: 1000,
    millions: 25.6,
    ids: {
      s: [
        'microsoft/resnet-50',
        ['microsoft/resnet-18', { layer_type: 'basic', depths: [2, 2, 2, 2], hidden_sizes: [64, 128, 256, 512] }, 11.7],
      ],
    },
  },
  {
    task: 'image-classification',
    config: vit(768, 12, 12),
    labels: 1000,
    millions: 86.6,
    ids: { s: ['google/vit-base-patch16-224'], o: ['Xenova/vit-base-patch16-224'] },
  },
  {
    task: 'image-classification',
    config: vit(1024, 24, 16),
    labels: 1000,
    millions: 304,
    ids: { b: ['google/vit-large-patch16-224'] },
  },
  {
    task: 'image-feature-extraction',
    config: vit(768, 12, 12),
    head: 'none',
    millions: 86.4,
    ids: { s: ['google/vit-base-patch16-224-in21k'] },
  },
  {
    task: 'image-feature-extraction',
    head: 'none',
    millions: 22.1,
    config: {
      model_type: 'dinov2',
      hidden_size: 384,
      num_hidden_layers: 12,
      num_attention_heads: 6,
      image_size: 518,
      patch_size: 14,
    },
    ids: {
      s: [
        'facebook/dinov2-small',
        ['facebook/dinov2-base', { hidden_size: 768, num_attention_heads: 12 }, 86.6],
        ['facebook/dinov2-large', { hidden_size: 1024, num_hidden_layers: 24, num_attention_heads: 16 }, 304.4],
      ],
    },
  },
  {
    task: 'image-classification',
    config: { model_type: 'swin', hidden_size: 768 },
    labels: 1000,
    millions: 28.3,
    ids: { s: ['microsoft/swin-tiny-patch4-window7-224'] },
  },
  {
    task: 'image-classification',
    config: { model_type: 'convnext' },
    labels: 1000,
    millions: 28.6,
    ids: { s: ['facebook/convnext-tiny-224'] },
  },
  {
    task: 'image-classification',
    config: { model_type: 'convnextv2' },
    labels: 1000,
    millions: 28.6,
    ids: { s: ['facebook/convnextv2-tiny-1k-224'] },
  },
  {
    task: 'image-classification',
    config: {
      model_type: 'beit',
      use_relative_position_bias: true,
      use_absolute_position_embeddings: false,
      use_mean_pooling: true,
    },
    labels: 1000,
    millions: 86.5,
    ids: { b: ['microsoft/beit-base-patch16-224'] },
  },
  {
    task: 'object-detection',
    config: { model_type: 'detr' },
    labels: 91,
    millions: 41.6,
    ids: { s: ['facebook/detr-resnet-50'], o: ['Xenova/detr-resnet-50'] },
  },
  {
    task: 'object-detection',
    config: {
      model_type: 'yolos',
      hidden_size: 192,
      num_attention_heads: 3,
      intermediate_size: 768,
      image_size: [800, 1333],
      use_mid_position_embeddings: false,
    },
    labels: 91,
    millions: 6.49,
    ids: { s: ['hustvl/yolos-tiny'] },
  },
  {
    task: 'object-detection',
    config: { model_type: 'yolos', hidden_size: 384, num_attention_heads: 6, intermediate_size: 1536 },
    labels: 91,
    millions: 30.7,
    ids: { s: ['hustvl/yolos-small'] },
  },
  {
    task: 'object-detection',
    config: { model_type: 'rt_detr' },
    labels: 80,
    millions: 42.9,
    ids: { s: ['PekingU/rtdetr_r50vd'] },
  },
  {
    task: 'image-segmentation',
    head: 'semantic-segmentation',
    config: { model_type: 'segformer' },
    labels: 150,
    millions: 3.75,
    ids: { b: ['nvidia/segformer-b0-finetuned-ade-512-512'] },
  },
  {
    task: 'zero-shot-object-detection',
    config: { model_type: 'owlvit' },
    millions: 153,
    ids: { s: ['google/owlvit-base-patch32'] },
  },
  {
    task: 'zero-shot-object-detection',
    config: { model_type: 'owlv2' },
    millions: 155,
    ids: { s: ['google/owlv2-base-patch16-ensemble'] },
  },
  {
    task: 'feature-extraction',
    shown: 'masks of objects',
    config: { model_type: 'sam' },
    head: 'none',
    millions: 93.7,
    ids: { s: ['facebook/sam-vit-base'] },
  },
  {
    task: 'image-classification',
    config: { model_type: 'mobilevit' },
    labels: 1000,
    millions: 5.58,
    ids: { b: ['apple/mobilevit-small'], o: ['Xenova/mobilevit-small'] },
  },
  {
    task: 'image-segmentation',
    config: { model_type: 'mobilevit', output_stride: 16 },
    head: 'semantic-segmentation',
    labels: 21,
    millions: 6.36,
    ids: { b: ['apple/deeplabv3-mobilevit-small'] },
  },
  {
    task: 'feature-extraction',
    shown: 'masks of what a text describes',
    config: {
      model_type: 'clipseg',
      vision_config: { patch_size: 16 },
      use_complex_transposed_convolution: true,
    },
    head: 'prompted-segmentation',
    millions: 151,
    ids: { s: ['CIDAS/clipseg-rd64-refined'] },
  },
  {
    task: 'feature-extraction',
    shown: 'vectors of voices',
    config: { model_type: 'wavlm', use_weighted_layer_sum: true },
    head: 'x-vector',
    labels: 1251,
    millions: 101,
    ids: { b: ['microsoft/wavlm-base-plus-sv'], o: ['Xenova/wavlm-base-plus-sv'] },
  },
  {
    task: 'depth-estimation',
    config: {
      model_type: 'depth_anything',
      backbone_config: {
        model_type: 'dinov2',
        hidden_size: 384,
        num_hidden_layers: 12,
        num_attention_heads: 6,
        image_size: 518,
        patch_size: 14,
        out_indices: [3, 6, 9, 12],
        reshape_hidden_states: false,
        apply_layernorm: true,
      },
      neck_hidden_sizes: [48, 96, 192, 384],
      reassemble_hidden_size: 384,
      fusion_hidden_size: 64,
    },
    millions: 24.8,
    ids: { s: ['depth-anything/Depth-Anything-V2-Small-hf', 'LiheYoung/depth-anything-small-hf'] },
  },
  {
    task: 'depth-estimation',
    config: {
      model_type: 'dpt',
      hidden_size: 1024,
      num_hidden_layers: 24,
      num_attention_heads: 16,
      intermediate_size: 4096,
      backbone_out_indices: [5, 11, 17, 23],
      neck_hidden_sizes: [256, 512, 1024, 1024],
    },
    millions: 343,
    ids: { s: ['Intel/dpt-large'], o: ['Xenova/dpt-large'] },
  },
  {
    task: 'depth-estimation',
    config: {
      model_type: 'dpt',
      is_hybrid: true,
      backbone_out_indices: [2, 5, 8, 11],
      neck_hidden_sizes: [256, 512, 768, 768],
      reassemble_factors: [1, 1, 1, 0.5],
    },
    millions: 123,
    ids: { s: ['Intel/dpt-hybrid-midas'] },
  },
  {
    task: 'document-question-answering',
    shown: 'token-classification',
    config: { model_type: 'layoutlmv3', vocab_size: 50265, max_position_embeddings: 514, type_vocab_size: 1 },
    head: 'none',
    millions: 125,
    ids: { s: ['microsoft/layoutlmv3-base'] },
  },
  {
    task: 'fill-mask',
    config: { model_type: 'squeezebert', vocab_size: 30528 },
    millions: 51.1,
    ids: { b: ['squeezebert/squeezebert-uncased'] },
  },
  {
    task: 'text-classification',
    config: { model_type: 'squeezebert', vocab_size: 30528 },
    labels: 3,
    millions: 51.1,
    ids: { b: ['squeezebert/squeezebert-mnli'] },
  },
  {
    task: 'summarization',
    config: longT5(12, 768, 2048, 12, 'transient-global'),
    millions: 247.6,
    ids: { sb: ['pszemraj/long-t5-tglobal-base-16384-book-summary'] },
  },
  {
    task: 'text2text-generation',
    config: longT5(12, 768, 2048, 12, 'local'),
    millions: 247.6,
    ids: {
      b: [
        'google/long-t5-local-base',
        ['google/long-t5-tglobal-base', longT5(12, 768, 2048, 12, 'transient-global'), 247.6],
        ['google/long-t5-local-large', longT5(24, 1024, 2816, 16, 'local'), 783],
        ['google/long-t5-tglobal-large', longT5(24, 1024, 2816, 16, 'transient-global'), 783],
      ],
    },
  },
  {
    task: 'depth-estimation',
    config: { model_type: 'glpn', depths: [3, 8, 27, 3], hidden_sizes: [64, 128, 320, 512], max_depth: 10 },
    millions: 61.2,
    ids: { b: ['vinvino02/glpn-nyu', 'vinvino02/glpn-kitti'] },
  },
  {
    task: 'image-to-image',
    config: { model_type: 'swin2sr' },
    millions: 12.1,
    ids: {
      b: [
        'caidas/swin2SR-classical-sr-x2-64',
        ['caidas/swin2SR-classical-sr-x4-64', { upscale: 4 }, 12.2],
        [
          'caidas/swin2SR-lightweight-x2-64',
          {
            embed_dim: 60,
            depths: [6, 6, 6, 6],
            num_heads: [6, 6, 6, 6],
            upsampler: 'pixelshuffledirect',
          },
          1.01,
        ],
        ['caidas/swin2SR-realworld-sr-x4-64-bsrgan-psnr', { upscale: 4, upsampler: 'nearest+conv' }, 12.1],
        ['caidas/swin2SR-compressed-sr-x4-48', { upscale: 4, image_size: 48, upsampler: 'pixelshuffle_aux' }, 12.2],
      ],
      o: ['Xenova/swin2SR-classical-sr-x2-64', ['Xenova/swin2SR-classical-sr-x4-64', { upscale: 4 }, 12.2]],
    },
  },
  // Images and text.
  {
    task: 'image-text-to-text',
    head: 'language-model',
    config: qwen2Vl(decoder('qwen2_vl', 28, 1536, 12, 2, 8960, 151936, tied), { hidden_size: 1536 }),
    millions: 2209,
    ids: { s: ['Qwen/Qwen2-VL-2B-Instruct'] },
  },
  {
    task: 'image-text-to-text',
    head: 'language-model',
    config: qwen2Vl(decoder('qwen2_vl', 28, 3584, 28, 4, 18944, 152064, untied), { hidden_size: 3584 }),
    millions: 8291,
    ids: { s: ['Qwen/Qwen2-VL-7B-Instruct'] },
  },
  {
    task: 'image-text-to-text',
    head: 'language-model',
    config: qwen2Vl(decoder('qwen2_5_vl', 36, 2048, 16, 2, 11008, 151936, tied), {
      hidden_size: 1280,
      out_hidden_size: 2048,
    }),
    millions: 3755,
    ids: { s: ['Qwen/Qwen2.5-VL-3B-Instruct'] },
  },
  {
    task: 'image-text-to-text',
    head: 'language-model',
    config: qwen2Vl(decoder('qwen2_5_vl', 28, 3584, 28, 4, 18944, 152064, untied), {
      hidden_size: 1280,
      out_hidden_size: 3584,
    }),
    millions: 8292,
    ids: { s: ['Qwen/Qwen2.5-VL-7B-Instruct'] },
  },
];
