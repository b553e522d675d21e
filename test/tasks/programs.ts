// One program per pipeline, as transformers.js documents it. The test runs them with this package, make_programs.mjs with
// transformers.js. Models are small random checkpoints of test/data in the layout of `env.localModelPath`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Called = ((...args: unknown[]) => Promise<unknown>) & { dispose(): Promise<unknown> };
/** The only name that a program imports. */
export type Pipeline = (task: string, model: string, options?: object) => Promise<Called>;
/** Paths of pictures of 12 · 12 and 24 · 24 pixels. */
export interface Pictures {
  readonly small: string;
  readonly square: string;
}

const sound = (samples: number) =>
  Float32Array.from({ length: samples }, (_, i) => Math.sin((i * i) / 900) * 0.5 + 0.3 * Math.sin(i / 4));

/** Programs by task. Each returns all of its results. */
export const programs: Readonly<Record<string, (pipeline: Pipeline, pictures: Pictures) => Promise<unknown[]>>> = {
  async 'text-classification'(pipeline) {
    const classifier = await pipeline('sentiment-analysis', 'org/bert-sequence');
    const output = await classifier('the cat sat on the mat');
    const some = await classifier('a big red dog', { top_k: 2 });
    const all = await classifier(['the house is big', 'a park'], { top_k: null });
    await classifier.dispose();
    return [output, some, all];
  },
  async 'token-classification'(pipeline) {
    const classifier = await pipeline('token-classification', 'org/bert-token');
    const output = await classifier('anna lives in london');
    const all = await classifier('anna lives in london', { ignore_labels: [] });
    const groups = await classifier('anna lives in london', { aggregation_strategy: 'simple' });
    await classifier.dispose();
    return [output, all, groups];
  },
  async 'question-answering'(pipeline) {
    const answerer = await pipeline('question-answering', 'org/bert-qa');
    const question = 'who lives in london ?';
    const context = 'anna lives in london and a dog ran to the park';
    const output = await answerer(question, context);
    await answerer.dispose();
    return [output];
  },
  async 'fill-mask'(pipeline) {
    const unmasker = await pipeline('fill-mask', 'org/bert-mlm');
    const output = await unmasker('the [MASK] sat on the mat .');
    const best = await unmasker('a big [MASK] dog', { top_k: 1 });
    await unmasker.dispose();
    return [output, best];
  },
  async summarization(pipeline) {
    const generator = await pipeline('summarization', 'org/t5');
    const output = await generator('the cat sat on the mat', { max_new_tokens: 8 });
    await generator.dispose();
    return [output];
  },
  async translation(pipeline) {
    const translator = await pipeline('translation', 'org/t5');
    const output = await translator(['the cat sat', 'a dog ran'], { max_new_tokens: 6 });
    await translator.dispose();
    return [output];
  },
  async 'text2text-generation'(pipeline) {
    const generator = await pipeline('text2text-generation', 'org/t5', { dtype: 'fp32' });
    const output = await generator('where is the dog ?', { max_new_tokens: 8, do_sample: false });
    await generator.dispose();
    return [output];
  },
  async 'text-generation'(pipeline) {
    const generator = await pipeline('text-generation', 'org/gpt2');
    const text = await generator('the cat', { max_new_tokens: 6 });
    const rest = await generator(['the cat', 'a dog'], { max_new_tokens: 4, return_full_text: false });
    await generator.dispose();
    return [text, rest];
  },
  async 'text-generation of messages'(pipeline) {
    const generator = await pipeline('text-generation', 'org/gpt2');
    const messages = [
      { role: 'system', content: 'the house is big' },
      { role: 'user', content: 'where is the cat ?' },
    ];
    const output = await generator(messages, { max_new_tokens: 5, do_sample: false });
    await generator.dispose();
    return [output];
  },
  async 'zero-shot-classification'(pipeline) {
    const classifier = await pipeline('zero-shot-classification', 'org/bert-nli');
    const labels = ['house', 'park', 'dog'];
    const output = await classifier('anna lives in paris', labels);
    const several = await classifier('anna lives in paris', labels, { multi_label: true });
    await classifier.dispose();
    return [output, several];
  },
  async 'feature-extraction'(pipeline) {
    const extractor = await pipeline('feature-extraction', 'org/bert-pooler');
    const tokens = await extractor('the cat sat');
    const vectors = await extractor(['the cat sat', 'a dog'], { pooling: 'mean', normalize: true });
    const bits = await extractor('the cat sat', { pooling: 'cls', quantize: true, precision: 'binary' });
    await extractor.dispose();
    return [tokens, vectors, bits];
  },
  async 'image-classification'(pipeline, { square }) {
    const classifier = await pipeline('image-classification', 'org/vit-image');
    const output = await classifier(square);
    const best = await classifier(square, { top_k: 1 });
    await classifier.dispose();
    return [output, best];
  },
  async 'image-feature-extraction'(pipeline, { square }) {
    const extractor = await pipeline('image-feature-extraction', 'org/vit-body');
    const output = await extractor(square);
    await extractor.dispose();
    return [output];
  },
  async 'image-segmentation'(pipeline, { square }) {
    const segmenter = await pipeline('image-segmentation', 'org/segformer');
    const output = await segmenter(square);
    await segmenter.dispose();
    return [output];
  },
  async 'zero-shot-image-classification'(pipeline, { square }) {
    const classifier = await pipeline('zero-shot-image-classification', 'org/clip');
    const output = await classifier(square, ['a cat', 'a dog', 'the park']);
    const other = await classifier(square, ['cat', 'dog'], { hypothesis_template: 'the {}' });
    await classifier.dispose();
    return [output, other];
  },
  async 'object-detection'(pipeline, { square }) {
    const detector = await pipeline('object-detection', 'org/detr');
    const output = await detector(square, { threshold: 0.3 });
    const parts = await detector(square, { threshold: 0.3, percentage: true });
    await detector.dispose();
    return [output, parts];
  },
  async 'zero-shot-object-detection'(pipeline, { square }) {
    const detector = await pipeline('zero-shot-object-detection', 'org/owlv2');
    const output = await detector(square, ['a cat', 'the dog'], { top_k: 4, threshold: 0.05 });
    await detector.dispose();
    return [output];
  },
  async 'image-to-text'(pipeline, { small }) {
    const captioner = await pipeline('image-to-text', 'org/vision-gpt2');
    const output = await captioner(small, { max_new_tokens: 6 });
    await captioner.dispose();
    return [output];
  },
  async 'audio-classification'(pipeline) {
    const classifier = await pipeline('audio-classification', 'org/hubert-classes');
    const output = await classifier(sound(900));
    const best = await classifier(sound(800), { top_k: 1 });
    await classifier.dispose();
    return [output, best];
  },
  async 'document-question-answering'(pipeline, { square }) {
    const answerer = await pipeline('document-question-answering', 'org/vision-document');
    const output = await answerer(square, 'what is the total ?', { max_new_tokens: 10 });
    const other = await answerer(square, 'the ?', { max_new_tokens: 10 });
    await answerer.dispose();
    return [output, other];
  },
  async 'zero-shot-audio-classification'(pipeline) {
    const classifier = await pipeline('zero-shot-audio-classification', 'org/clap');
    const template = { hypothesis_template: 'w5 w6 {}' };
    const output = await classifier(sound(8000), ['w15', 'w20 w30 w40'], template);
    const several = await classifier([sound(8000), sound(8000).reverse()], ['w15', 'w50 w51', 'w5'], template);
    await classifier.dispose();
    return [output, several];
  },
  async 'automatic-speech-recognition'(pipeline) {
    const transcriber = await pipeline('automatic-speech-recognition', 'org/wav2vec2');
    const output = await transcriber(sound(1200));
    await transcriber.dispose();
    return [output];
  },
  async 'text-to-speech'(pipeline) {
    const synthesizer = await pipeline('text-to-speech', 'org/vits');
    const output = await synthesizer('the cat');
    await synthesizer.dispose();
    return [output];
  },
};

const data = (path: string) => fileURLToPath(new URL(`../data/${path}`, import.meta.url));
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(path, 'utf8'));

interface ModelFolder {
  /** The checkpoint, below test/data. */
  readonly from: string;
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
  ...{ image_processor_type: type, do_resize: false, do_rescale: true, rescale_factor: 1 / 255, do_normalize: true },
  ...{ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5], ...others },
});

/** A tokenizer of characters. */
const characters = (vocab: Readonly<Record<string, number>>, special: readonly string[], others: object = {}) => ({
  version: '1.0',
  added_tokens: special.map((content) => ({
    ...{ id: vocab[content], content, special: true, single_word: false, lstrip: false, rstrip: false },
    normalized: false,
  })),
  pre_tokenizer: { type: 'Split', pattern: { Regex: '' }, behavior: 'Isolated', invert: false },
  model: { type: 'WordLevel', vocab, unk_token: '<unk>' },
  ...{ normalizer: null, post_processor: null, decoder: null },
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

/** Models by the last part of their ids. */
export const modelFolders: Readonly<Record<string, ModelFolder>> = {
  'bert-sequence': { from: 'reference/bert-sequence', tokenizer: words },
  'bert-nli': {
    from: 'reference/bert-sequence',
    config: {
      id2label: { 0: 'contradiction', 1: 'neutral', 2: 'entailment', 3: 'other' },
      label2id: { contradiction: 0, neutral: 1, entailment: 2, other: 3 },
    },
    tokenizer: words,
  },
  'bert-token': { from: 'reference/bert-token', tokenizer: words },
  'bert-qa': { from: 'reference/bert-qa', tokenizer: words },
  'bert-mlm': { from: 'reference/bert-mlm', tokenizer: words },
  'bert-pooler': { from: 'reference/bert-pooler', tokenizer: words },
  gpt2: { from: 'reference/gpt2', tokenizer: { ...words, chat_template: TEMPLATE }, vocabulary: writer },
  t5: { from: 'reference/t5', tokenizer: words },
  'vit-image': { from: 'reference/vit-image', processor: image('ViTImageProcessor') },
  'vit-body': { from: 'reference/vit-image', processor: image('ViTImageProcessor') },
  segformer: { from: 'reference3/segformer', processor: image('SegformerImageProcessor') },
  'segformer-background': {
    from: 'reference3/segformer',
    config: { id2label: { 0: 'background', 1: 'b', 2: 'c', 3: 'd', 4: 'e' } },
    processor: image('SegformerImageProcessor'),
  },
  depth_anything: { from: 'reference3/depth_anything', processor: image('DPTImageProcessor') },
  clip: {
    from: 'reference/clip',
    config: {
      text_config: { ...(json(data('reference/clip/config.json')).text_config as object), eos_token_id: 3 },
    },
    tokenizer: words,
    processor: image('CLIPImageProcessor', { do_center_crop: false }),
  },
  detr: { from: 'reference3/detr', processor: image('DetrImageProcessor') },
  owlv2: {
    from: 'reference3/owlv2',
    tokenizer: { ...words, model_max_length: 12 },
    processor: image('Owlv2ImageProcessor', { do_pad: false, size: { height: 24, width: 24 } }),
  },
  'vision-gpt2': { from: 'switches/vision-gpt2', tokenizer: words, processor: image('ViTImageProcessor') },
  'vision-document': {
    from: 'programs/donut',
    tokenizer: { tokenizer_class: 'PreTrainedTokenizerFast', unk_token: '<unk>', model_max_length: 32 },
    vocabulary: { ...characters(question, asked), pre_tokenizer: { type: 'WhitespaceSplit' } },
    processor: image('DonutImageProcessor', { do_thumbnail: false, do_align_long_axis: false, do_pad: false }),
  },
  clap: {
    from: 'reference3/clap',
    tokenizer: { tokenizer_class: 'RobertaTokenizer', ...{ pad_token: '<pad>', model_max_length: 32 } },
    vocabulary: sounding.tokenizer,
    processor: {
      ...sounding.processor,
      nb_max_samples: 8000,
      nb_frequency_bins: 129,
      padding: 'repeatpad',
      top_db: null,
    },
  },
  'hubert-classes': { from: 'switches/hubert-classes', processor: json(here('spelled/preprocessor_config.json')) },
  wav2vec2: {
    from: 'reference3/wav2vec2',
    tokenizer: json(here('spelled/tokenizer_config.json')),
    vocabulary: characters(letters, ['<pad>', '<s>', '</s>'], {
      decoder: { type: 'CTC', pad_token: '<pad>', word_delimiter_token: '|', cleanup: true },
    }),
    processor: json(here('spelled/preprocessor_config.json')),
  },
  vits: {
    from: 'reference3/vits',
    tokenizer: { tokenizer_class: 'VitsTokenizer', unk_token: '<unk>' },
    vocabulary: characters(sounds, ['<unk>']),
  },
};

/** Writes the models below `root`, without weights in ONNX. */
export function writeModels(root: string): void {
  for (const [name, { from, config = {}, tokenizer, vocabulary, processor }] of Object.entries(modelFolders)) {
    const write = (file: string, content: object | Uint8Array) => {
      const path = join(root, 'org', name, file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content instanceof Uint8Array ? content : JSON.stringify(content));
    };
    write('config.json', { ...json(data(`${from}/config.json`)), ...config });
    write('model.safetensors', readFileSync(data(`${from}/model.safetensors`)));
    if (processor) write('preprocessor_config.json', processor);
    if (tokenizer === undefined) continue;
    write('tokenizer.json', vocabulary ?? readFileSync(here('wordpiece/tokenizer.json')));
    write('tokenizer_config.json', tokenizer);
  }
}

/** Results without classes: tensors, images and sounds as objects, typed arrays as arrays. */
export function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<number>, plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const members = ['type', 'dims', 'data', 'width', 'height', 'channels', 'audio', 'sampling_rate'] as const;
  const given = value as Record<string, unknown>;
  const own = members.filter((name) => given[name] !== undefined).map((name) => [name, given[name]] as const);
  const isClass = Object.getPrototypeOf(value) !== Object.prototype || own.length > 2;
  return Object.fromEntries((isClass ? own : Object.entries(given)).map(([name, each]) => [name, plain(each)]));
}
