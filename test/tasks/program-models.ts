// The models of programs.ts: small random checkpoints of test/data in the layout of `env.localModelPath`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { upscalerFiles } from './upscaler.js';

const data = (path: string) => fileURLToPath(new URL(`../data/${path}`, import.meta.url));
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, 'utf8'));

interface ModelFolder {
  /** The checkpoint, below test/data. Default: that of `files`. */
  readonly from?: string;
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** Changes of config.json. */
  readonly config?: object;
  /** The content of tokenizer_config.json, and of tokenizer.json. Default: that of wordpiece/. */
  readonly tokenizer?: object;
  readonly vocabulary?: object;
  readonly processor?: object;
}

const words = { ...json(here('wordpiece/tokenizer_config.json')) };
const TEMPLATE = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}";
/** Pictures have the size that models read, because transformers.js resizes with another filter than transformers. */
const image = (type: string, others: object = {}) => ({
  image_processor_type: type,
  do_resize: false,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
  ...others,
});

/** A tokenizer of characters. */
const characters = (vocab: Readonly<Record<string, number>>, special: readonly string[], others: object = {}) => ({
  version: '1.0',
  added_tokens: special.map((content) => ({
    id: vocab[content],
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  pre_tokenizer: { type: 'Split', pattern: { Regex: '' }, behavior: 'Isolated', invert: false },
  model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
  normalizer: null,
  post_processor: null,
  decoder: null,
  ...others,
});
const letters = json(here('spelled/vocab.json')) as Record<string, number>;
const sounds = Object.fromEntries(['<unk>', ...' abcdefghijklmnopqrstuvwxyz'].map((each, id) => [each, id]));

/** Prompts of language models have no tokens around them. */
const writer = { ...json(here('wordpiece/tokenizer.json')), post_processor: null };

/** A tokenizer of words, and of the tokens around questions about documents and their answers. */
const asked = [
  '<pad>',
  '<s>',
  '</s>',
  '<unk>',
  '<s_docvqa>',
  '<s_question>',
  '</s_question>',
  '<s_answer>',
  '</s_answer>',
];
const question = Object.fromEntries(
  [...asked, ...'what is the total date name ? ten may'.split(' ')].map((each, id) => [each, id]),
);
const sounding = json(here('zero-shot-audio.json')) as { tokenizer: object; processor: object };

const numbered = Object.fromEntries(Array.from({ length: 97 }, (_, id) => [id === 94 ? '<image>' : `w${id}`, id]));

/** A tokenizer of the words in Florence-2's prompts. */
const florence = {
  ...characters({}, []),
  added_tokens: ['<s>', '<pad>', '</s>', '<image>'].map((content, i) => ({
    id: [0, 1, 2, 94][i],
    content,
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })),
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: {
    type: 'RobertaProcessing',
    sep: ['</s>', 2],
    cls: ['<s>', 0],
    trim_offsets: true,
    add_prefix_space: false,
  },
  model: {
    type: 'WordLevel',
    unk_token: 'w19',
    vocab: Object.fromEntries(
      Array.from({ length: 97 }, (_, id) => [
        { 0: '<s>', 1: '<pad>', 2: '</s>', 3: 'Locate', 4: 'the', 5: 'objects', 94: '<image>' }[id] ?? `w${id}`,
        id,
      ]),
    ),
  },
};

/** Models by the last part of their ids. */
export const modelFolders: Readonly<Record<string, ModelFolder>> = {
  'bert-sequence': { from: 'families/bert-sequence', tokenizer: words },
  'bert-nli': {
    from: 'families/bert-sequence',
    config: {
      id2label: { 0: 'contradiction', 1: 'neutral', 2: 'entailment', 3: 'other' },
      label2id: { contradiction: 0, neutral: 1, entailment: 2, other: 3 },
    },
    tokenizer: words,
  },
  'bert-token': { from: 'families/bert-token', tokenizer: words },
  'bert-qa': { from: 'families/bert-qa', tokenizer: words },
  'bert-mlm': { from: 'families/bert-mlm', tokenizer: words },
  'bert-pooler': { from: 'families/bert-pooler', tokenizer: words },
  gpt2: { from: 'families/gpt2', tokenizer: { ...words, chat_template: TEMPLATE }, vocabulary: writer },
  t5: { from: 'families/t5', tokenizer: words },
  'vit-image': { from: 'families/vit-image', processor: image('ViTImageProcessor') },
  'vit-body': { from: 'families/vit-image', processor: image('ViTImageProcessor') },
  segformer: { from: 'families/segformer', processor: image('SegformerImageProcessor') },
  'segformer-background': {
    from: 'families/segformer',
    config: { id2label: { 0: 'background', 1: 'b', 2: 'c', 3: 'd', 4: 'e' } },
    processor: image('SegformerImageProcessor'),
  },
  sam: {
    from: 'families/sam',
    processor: {
      ...image('SamImageProcessor', { do_resize: true, do_pad: true, resample: 2, processor_class: 'SamProcessor' }),
      ...(json(here('masks.json')) as { processor: object }).processor,
    },
  },
  whisper: {
    from: 'families/whisper',
    tokenizer: json(here('whisper/tokenizer_config.json')),
    vocabulary: json(here('whisper/tokenizer.json')),
    processor: { ...json(here('whisper/preprocessor_config.json')), processor_class: 'WhisperProcessor' },
  },
  moonshine: {
    from: 'families/moonshine',
    tokenizer: words,
    processor: {
      feature_extractor_type: 'MoonshineFeatureExtractor',
      do_normalize: false,
      sampling_rate: 16000,
      processor_class: 'MoonshineProcessor',
    },
  },
  florence2: {
    from: 'families/florence2',
    tokenizer: {
      tokenizer_class: 'BartTokenizer',
      bos_token: '<s>',
      eos_token: '</s>',
      pad_token: '<pad>',
      unk_token: 'w19',
    },
    vocabulary: florence,
    processor: image('CLIPImageProcessor', {
      do_center_crop: false,
      image_seq_length: 10,
      processor_class: 'Florence2Processor',
      tasks_answer_post_processing_type: { '<OD>': 'description_with_bboxes', '<CAPTION>': 'pure_text' },
      task_prompts_without_inputs: {
        '<OD>': 'Locate the objects with category name in the image.',
        '<CAPTION>': 'What does the image describe?',
      },
      task_prompts_with_input: { '<CAPTION_TO_PHRASE_GROUNDING>': 'Locate the phrases in the caption: {input}' },
    }),
  },
  paligemma: {
    from: 'families/paligemma',
    tokenizer: {},
    vocabulary: {
      version: '1.0',
      added_tokens: [{ id: 94, content: '<image>', special: true }],
      pre_tokenizer: { type: 'Whitespace' },
      model: { type: 'WordLevel', unk_token: 'w3', vocab: numbered },
    },
    processor: { image_processor_type: 'SiglipImageProcessor', size: { height: 24, width: 24 } },
  },
  depth_anything: { from: 'families/depth_anything', processor: image('DPTImageProcessor') },
  swin2sr: {
    files: upscalerFiles(),
    processor: {
      image_processor_type: 'Swin2SRImageProcessor',
      do_rescale: true,
      rescale_factor: 1 / 255,
      do_pad: true,
      pad_size: 8,
    },
  },
  clip: {
    from: 'families/clip',
    config: {
      text_config: { ...(json(data('families/clip/config.json')).text_config as object), eos_token_id: 3 },
    },
    tokenizer: words,
    processor: image('CLIPImageProcessor', { do_center_crop: false }),
  },
  detr: { from: 'families/detr', processor: image('DetrImageProcessor') },
  owlv2: {
    from: 'families/owlv2',
    tokenizer: { ...words, model_max_length: 12 },
    processor: image('Owlv2ImageProcessor', { do_pad: false, size: { height: 24, width: 24 } }),
  },
  'vision-gpt2': { from: 'families/vision-gpt2', tokenizer: words, processor: image('ViTImageProcessor') },
  'vision-document': {
    from: 'programs/donut',
    tokenizer: { tokenizer_class: 'PreTrainedTokenizerFast', unk_token: '<unk>', model_max_length: 32 },
    vocabulary: { ...characters(question, asked), pre_tokenizer: { type: 'WhitespaceSplit' } },
    processor: image('DonutImageProcessor', { do_thumbnail: false, do_align_long_axis: false, do_pad: false }),
  },
  clap: {
    from: 'families/clap',
    tokenizer: { tokenizer_class: 'RobertaTokenizer', pad_token: '<pad>', model_max_length: 32 },
    vocabulary: sounding.tokenizer,
    processor: {
      ...sounding.processor,
      nb_max_samples: 8000,
      nb_frequency_bins: 129,
      padding: 'repeatpad',
      top_db: null,
    },
  },
  'hubert-classes': { from: 'families/hubert-classes', processor: json(here('spelled/preprocessor_config.json')) },
  wav2vec2: {
    from: 'families/wav2vec2',
    tokenizer: json(here('spelled/tokenizer_config.json')),
    vocabulary: characters(letters, ['<pad>', '<s>', '</s>'], {
      decoder: { type: 'CTC', pad_token: '<pad>', word_delimiter_token: '|', cleanup: true },
    }),
    processor: json(here('spelled/preprocessor_config.json')),
  },
  vits: {
    from: 'families/vits',
    tokenizer: { tokenizer_class: 'VitsTokenizer', unk_token: '<unk>' },
    vocabulary: characters(sounds, ['<unk>']),
  },
};

/** The files of a model, without weights in ONNX. */
export function programModel(name: string): Record<string, Buffer> {
  const { from, files = {}, config = {}, tokenizer, vocabulary, processor } = modelFolders[name] as ModelFolder;
  const text = (content: object) => Buffer.from(JSON.stringify(content));
  const checkpoint = from && {
    'config.json': text({ ...json(data(`${from}/config.json`)), ...config }),
    'model.safetensors': readFileSync(data(`${from}/model.safetensors`)),
  };
  return {
    ...Object.fromEntries(Object.entries(files).map(([file, content]) => [file, Buffer.from(content)])),
    ...checkpoint,
    ...(processor && { 'preprocessor_config.json': text(processor) }),
    ...(tokenizer && {
      'tokenizer.json': vocabulary ? text(vocabulary) : readFileSync(here('wordpiece/tokenizer.json')),
      'tokenizer_config.json': text(tokenizer),
    }),
  };
}

/** Writes the models below `root`. */
export function writeModels(root: string): void {
  for (const name of Object.keys(modelFolders)) {
    const folder = join(root, 'org', name);
    mkdirSync(folder, { recursive: true });
    for (const [file, content] of Object.entries(programModel(name))) writeFileSync(join(folder, file), content);
  }
}
