// One program per pipeline, as transformers.js documents it. The tests run them with this package in Node and in a page,
// make_programs.mjs with transformers.js. They may use no imports, because a page runs them, too.

type Called = ((...args: unknown[]) => Promise<unknown>) & { dispose(): Promise<unknown> };
/** The only name that a program imports. */
export type Pipeline = (task: string, model: string, options?: object) => Promise<Called>;
/** Pictures of 12 · 12 and 24 · 24 pixels: paths, or files in a page. */
export interface Pictures {
  readonly small: string | Blob;
  readonly square: string | Blob;
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
  async 'depth-estimation'(pipeline, { square }) {
    const estimator = await pipeline('depth-estimation', 'org/depth_anything');
    const { depth } = (await estimator(square)) as { depth: unknown };
    await estimator.dispose();
    return [depth];
  },
};

// transformers.js returns enlarged images with the padding of the model's input. It takes the first label of any model
// as the foreground.
/** Tasks that transformers.js lacks, or whose results differ. */
export const ownPrograms: typeof programs = {
  async 'background-removal'(pipeline, { square }) {
    const remover = await pipeline('background-removal', 'org/segformer-background');
    const output = await remover(square);
    await remover.dispose();
    return [output];
  },
  async 'image-to-image'(pipeline, { small }) {
    const upscaler = await pipeline('image-to-image', 'org/swin2sr');
    const output = await upscaler(small);
    await upscaler.dispose();
    return [output];
  },
  async 'mask-generation'(pipeline, { square }) {
    const generator = await pipeline('mask-generation', 'org/sam');
    const output = await generator(square, { input_points: [[[5, 9]]], input_labels: [[1]] });
    await generator.dispose();
    return [output];
  },
  async 'image-text-to-text'(pipeline, { square }) {
    const reader = await pipeline('image-text-to-text', 'org/paligemma');
    const output = await reader(square, 'w5 w6', { max_new_tokens: 4 });
    await reader.dispose();
    return [output];
  },
};

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
