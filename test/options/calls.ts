// A call of each public function that takes options.

import { readFileSync } from 'node:fs';
import { createSimdformer } from '../../src/ai-sdk/index.js';
import { collect, createWorker, submit, transformerTask } from '../../src/bulk/index.js';
import { constrain } from '../../src/constrain/index.js';
import { atOnce } from '../../src/core/slices.js';
import * as finetune from '../../src/finetune/index.js';
import { ContinuousBatching, generate, PromptCache, stream } from '../../src/generate/index.js';
import * as core from '../../src/index.js';
import { curvesSvg, heatMapGridSvg, modelCost, renderHeatMap } from '../../src/inspect/index.js';
import { SimdformerRerank } from '../../src/langchain/index.js';
import { bleu, chrf, f1 } from '../../src/metrics/index.js';
import { mpi } from '../../src/mpi/index.js';
import * as nn from '../../src/nn/index.js';
import * as ops from '../../src/ops/index.js';
import { loadModel, loadPredictor, saveGguf } from '../../src/pretrained/index.js';
import { promptApi } from '../../src/prompt-api/index.js';
import { openai, serve } from '../../src/server/index.js';
import { TextStream } from '../../src/tasks/chat/text-stream.js';
import * as tasks from '../../src/tasks/index.js';
import * as tokenizers from '../../src/tokenizers/index.js';
import * as train from '../../src/train/index.js';
import { imageTextModel } from '../tasks/image-text-model.js';
import { smallModel } from '../tasks/small-model.js';
import { upscalerFiles } from '../tasks/upscaler.js';

/** Options that a call may pass, right and wrong ones. */
// biome-ignore lint/suspicious/noExplicitAny: wrong options have no type.
export type Given = any;

export interface Call {
  /** The options that the function needs. */
  readonly needed: Readonly<Record<string, unknown>>;
  /** An example of each option that is an object with fields of its own. */
  readonly examples: Readonly<Record<string, unknown>>;
  run(options: Given): unknown;
}

const TEMPLATE = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}';
const tools = [{ type: 'function', function: { name: 'f', description: 'd', parameters: { type: 'object' } } }];
const messages = [{ role: 'user', content: 'the cat' }];
const dropout = { p: 0.5, seed: 1 };
const special = { pad: '<p>', bos: '<s>', eos: '</s>', unk: '<u>', additional: ['<a>'] };
const queue = { queue: 'simdformer-test', redis: 'redis://localhost:1' };

/** The files of a model that sees, with the processor (and the tokenizer) that make_media.py recorded for it. */
function visionModel(task: string, name: string): Record<string, Uint8Array> {
  const recorded = JSON.parse(readFileSync('test/tasks/media.json', 'utf8'))[task] as Record<string, unknown>[];
  const { processor, tokenizer, config } = recorded.find(({ model }) => model === name) as Record<string, unknown>;
  const bytes = (path: string) => new Uint8Array(readFileSync(`test/data/reference/${name}/${path}`));
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return {
    'config.json': bytes('config.json'),
    'model.safetensors': bytes('model.safetensors'),
    'preprocessor_config.json': json(processor),
    ...(tokenizer ? { 'tokenizer.json': json(tokenizer), 'tokenizer_config.json': json(config) } : {}),
  };
}

/** The files of a detector, with the processor and the tokenizer that make_detections.py recorded. */
function detector(kind: string, processor?: object): Record<string, Uint8Array> {
  const { processors, tokenizer } = JSON.parse(readFileSync('test/tasks/detections.json', 'utf8'));
  const bytes = (path: string) => new Uint8Array(readFileSync(`test/data/reference3/${kind}/${path}`));
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return {
    'config.json': bytes('config.json'),
    'model.safetensors': bytes('model.safetensors'),
    'preprocessor_config.json': json(processor ?? processors[kind]),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json({}),
  };
}

/** Files of such a model, with a label for backgrounds. */
function withBackground(files: Record<string, Uint8Array>): Record<string, Uint8Array> {
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const labels = { ...config, id2label: { ...config.id2label, 0: 'background' } };
  return { ...files, 'config.json': new TextEncoder().encode(JSON.stringify(labels)) };
}

/** The files of a model of sounds, with the processor of test/tasks/spelled. */
function soundModel(): Record<string, Uint8Array> {
  const bytes = (path: string) => new Uint8Array(readFileSync(`test/${path}`));
  return {
    'config.json': bytes('data/switches/hubert-classes/config.json'),
    'model.safetensors': bytes('data/switches/hubert-classes/model.safetensors'),
    'preprocessor_config.json': bytes('tasks/spelled/preprocessor_config.json'),
  };
}

/** The files of CLAP, with the processor and the tokenizer that make_zero_shot_audio.py recorded. */
function soundJudge(): Record<string, Uint8Array> {
  const { processor, tokenizer } = JSON.parse(readFileSync('test/tasks/zero-shot-audio.json', 'utf8'));
  const bytes = (path: string) => new Uint8Array(readFileSync(`test/data/reference3/clap/${path}`));
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  return {
    'config.json': bytes('config.json'),
    'model.safetensors': bytes('model.safetensors'),
    'preprocessor_config.json': json(processor),
    'tokenizer.json': json(tokenizer),
  };
}

/** The files of a model that speaks, with a vocabulary of letters. */
function speakingModel(): Record<string, Uint8Array> {
  const bytes = (path: string) => new Uint8Array(readFileSync(`test/data/reference3/vits/${path}`));
  const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const config = JSON.parse(new TextDecoder().decode(bytes('config.json')));
  return {
    'config.json': json({ ...config, speaking_rate: 1e6 }),
    'model.safetensors': bytes('model.safetensors'),
    'vocab.json': json({ _: 0, a: 1, '<unk>': 2 }),
    'tokenizer_config.json': json({ phonemize: false }),
  };
}

/** Opens the models that the calls use. `close` frees them. */
export async function openCalls(): Promise<{ calls: Readonly<Record<string, Call>>; close(): Promise<void> }> {
  const device = await core.createDevice();
  const closing: (() => unknown)[] = [() => device.dispose()];
  const keep = <Kept extends { dispose(): unknown }>(kept: Kept): Kept => {
    closing.unshift(() => kept.dispose());
    return kept;
  };
  const load = async (name: string, changes: object = {}, tokenizer: object = {}) =>
    keep(await core.loadModel(device, smallModel(name, changes, tokenizer)));
  const pipe = async (task: tasks.TaskName, model: Parameters<typeof tasks.pipeline>[1]): Promise<Given> =>
    keep(await tasks.pipeline(task, model, { device }));

  const x = device.tensor([1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
  const ids = device.tensor([0, 1], [2], { dtype: 'int32' });
  const row = device.tensor([1, 2, 3, 4], [4]);
  const nothing = new nn.Stack(0, () => null as never, null);
  const table = ops.rotaryTable(x, x);
  const init = new nn.Initializer(device, 0);
  const tokenizer = core.CharTokenizer.train('the cat sat', { special });
  const { vocabSize } = tokenizer;
  const transformer = new core.Transformer(device, {
    dModel: 8,
    heads: 2,
    encoderLayers: 1,
    decoderLayers: 1,
    sourceVocab: vocabSize,
    targetVocab: vocabSize,
  });
  transformer.tokenizers = { source: tokenizer, target: tokenizer };
  const llama = await load('llama', {}, { chat_template: TEMPLATE });
  const languageModel = promptApi(llama);
  const session = await languageModel.create();
  const bert = await load('bert-pooler');
  const own = bert.tokenizer as tokenizers.PretrainedTokenizer;
  const packed = core.quantize(await load('llama'), { weights: 'int8' });
  const packedLinear = packed.modules().find((each) => each instanceof nn.PackedLinear) as nn.PackedLinear;
  const wide = device.zeros([1, packedLinear.weight.shape[1] as number]);
  const drafting = keep(await loadModel(device, 'test/data/predictor'));
  const m3 = keep(await loadModel(device, 'test/data/formats/sentence/bge-m3'));
  const [masked, tagger, t5] = [await load('bert-mlm'), await load('bert-token'), await load('t5')];
  const adapter = finetune.lora(await load('llama'), { r: 2 });
  const optimizer = (kind: Given) => new kind([init.normal([2, 2], 1)]);
  const classification = new finetune.SequenceClassification(await load('bert-sequence'));
  const hf = await tasks.AutoTokenizer.from_pretrained(smallModel('llama', {}, { chat_template: TEMPLATE }));
  const auto = await tasks.AutoModelForCausalLM.from_pretrained(smallModel('llama'), { device });
  closing.unshift(() => auto.dispose());
  const batching = keep(new ContinuousBatching(llama));

  const names = { 0: 'entailment', 1: 'neutral', 2: 'contradiction', 3: 'other' };
  const nli = await load('bert-sequence', { id2label: names, label2id: {} });
  const segformer = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
  const vit = { image_processor_type: 'ViTImageProcessor', size: { height: 24, width: 24 } };
  const square = { height: 48, width: 48 };
  const sam = { image_processor_type: 'SamImageProcessor', size: { longest_edge: 48 }, pad_size: square };
  const pipes = {
    recognize: await pipe('automatic-speech-recognition', 'test/tasks/whisper'),
    sounds: await pipe('audio-classification', soundModel()),
    features: await pipe('feature-extraction', bert),
    fill: await pipe('fill-mask', masked),
    images: await pipe('image-classification', visionModel('image-classification', 'vit-image')),
    imageFeatures: await pipe('image-feature-extraction', visionModel('image-feature-extraction', 'dinov2')),
    objects: await pipe('object-detection', detector('detr')),
    segment: await pipe('image-segmentation', detector('segformer', segformer)),
    background: await pipe('background-removal', withBackground(detector('segformer', segformer))),
    depth: await pipe('depth-estimation', detector('depth_anything', { image_processor_type: 'DPTImageProcessor' })),
    enlarge: await pipe('image-to-image', upscalerFiles()),
    masks: await pipe('mask-generation', detector('sam', sam)),
    caption: await pipe('image-to-text', detector('trocr', vit)),
    ask: await pipe('document-question-answering', detector('trocr', vit)),
    see: await pipe('image-text-to-text', keep(await imageTextModel('qwen3_vl', device)) as never),
    namedObjects: await pipe('zero-shot-object-detection', detector('owlv2')),
    answer: await pipe('question-answering', await load('bert-qa')),
    similar: await pipe('sentence-similarity', bert),
    summarize: await pipe('summarization', t5),
    classify: await pipe('text-classification', await load('bert-sequence')),
    write: await pipe('text-generation', llama),
    rank: await pipe('text-ranking', await load('bert-regression')),
    tokens: await pipe('token-classification', tagger),
    translate: await pipe('translation', t5),
    zeroShot: await pipe('zero-shot-classification', nli),
    zeroShotSounds: await pipe('zero-shot-audio-classification', soundJudge()),
    speech: await pipe('text-to-speech', speakingModel()),
    zeroShotImages: await pipe('zero-shot-image-classification', visionModel('zero-shot-image-classification', 'clip')),
  };
  const image = { width: 2, height: 2, data: new Uint8Array(12) };
  const call = (run: Call['run'], needed: Call['needed'] = {}, examples: Call['examples'] = {}): Call => ({
    run,
    needed,
    examples,
  });
  const each = async (stream: AsyncIterable<unknown>) => {
    for await (const _ of stream);
  };
  const fitting = { steps: 1, batchSize: 1 };
  const losses = call((options) => transformer.loss([[1]], [[1, 2]], options));
  const counts = call((options) => transformer.countLabels([[1]], [[1, 2]], options));
  const encode = call((options) => tokenizer.encode('a', options));
  const decode = call((options) => tokenizer.decode([4], options));
  const decoding = call((options) => transformer.startDecoding(options));
  const looking = call((options) => ops.embedding(x, ids, options));
  const step = (kind: Given) => call((options) => optimizer(kind).step(options));
  const reads = { responseFormat: { regex: 'a+' } };
  const sparse = { indices: [5], values: [1] } as never;
  const template = { parts: ['{query} {document}'], yes: 'yes' };
  const ranker = await load('bert-regression');
  const reranker = new SimdformerRerank({ model: ranker as never });
  const written = { ...reads, response_format: { regex: 'a+' } };
  const writing = call((options) => generate(llama, [[1]], options), {}, reads);
  const objective = call((options) => classification.lossOf([{ text: 'a', label: 0 }] as never, options));
  const kinds = [{ type: 'text' }];
  const tool = { name: 'f', description: 'd', inputSchema: { type: 'object' }, execute: async () => '' };
  const ofCreation = { initialPrompts: messages, expectedInputs: kinds, expectedOutputs: kinds, tools: [tool] };
  const creation = (run: Call['run']) => call(run, {}, ofCreation);
  const adapters = (run: Call['run']) => call(run, { targets: ['q_proj'], r: 2 });
  const rows = [{ text: 'the cat', label: 0 }] as never[];

  const calls: Readonly<Record<string, Call>> = {
    createDevice: call(core.createDevice),
    'Device#tensor': call((options) => device.tensor([1], [1], options)),
    'new Transformer': call(
      (options) => new core.Transformer(device, options),
      {
        dModel: 8,
        heads: 2,
        targetVocab: 5,
        sourceVocab: 5,
        encoderLayers: 1,
        decoderLayers: 1,
      },
      { positions: { kind: 'rotary' } },
    ),
    'Transformer.load': call((options) => core.Transformer.load(device, 'models/none', options)),
    'Transformer#save': call((options) => transformer.save('/dev/null/none', options)),
    'Transformer#toFiles': call((options) => transformer.toFiles(options)),
    'Transformer#loss': losses,
    'Transformer#lossInParts': call((options) => atOnce(transformer.lossInParts([[1]], [[1, 2]], options))),
    'Transformer#countLabels': counts,
    'Trainable#loss': losses,
    'Objective#lossOf': objective,
    'Transformer#generate': call((options) => transformer.generate([[1]], options)),
    'Transformer#stream': call((options) => each(transformer.stream([[1]], options))),
    generate: writing,
    stream: call((options) => each(stream(llama, [[1]], options)), {}, reads),
    'PretrainedModel#generate': call((options) => llama.generate([[1]], options), {}, reads),
    'Transformer#startDecoding': decoding,
    'Generative#startDecoding': decoding,
    'Transformer#extend': call((options) => llama.extend(llama.startDecoding({}), [[1]], options)),
    'Transformer#extendInParts': call((options) => [...llama.extendInParts(llama.startDecoding({}), [[1]], options)]),
    quantize: call((options) => core.quantize(nothing, options)),
    loadPredictor: call((options) => loadPredictor(drafting, 'test/data/predictor', options)),
    loadModel: call((options) => core.loadModel(device, smallModel('llama'), options)),
    loadTokenizer: call((options) => core.loadTokenizer('test/tasks/wordpiece', options)),
    'CharTokenizer.train': call((options) => core.CharTokenizer.train('abc', options), {}, { special }),
    'CharTokenizer#encode': encode,
    'CharTokenizer#decode': decode,
    'Tokenizer#encode': encode,
    'Tokenizer#decode': decode,
    'BpeTokenizer.train': call(
      (options) => tokenizers.BpeTokenizer.train('abc abc', options),
      { vocabSize: 300 },
      { special },
    ),
    'WordTokenizer.train': call((options) => tokenizers.WordTokenizer.train('a b', options), {}, { special }),
    'PretrainedTokenizer#encodeBatch': call((options) => own.encodeBatch(['a'], options)),
    'PretrainedTokenizer#encodeAsync': call((options) => own.encodeAsync('a', options)),
    'PretrainedTokenizer#encodeBatchAsync': call((options) => own.encodeBatchAsync(['a'], options)),
    'PretrainedTokenizer#decode': call((options) => own.decode([5], options)),
    'PretrainedTokenizer#batchDecode': call((options) => own.batchDecode([[5]], options)),
    'PretrainedTokenizer#applyChatTemplate': call(
      (options) => (llama.tokenizer as tokenizers.PretrainedTokenizer).applyChatTemplate(messages, options),
      {},
      { tools },
    ),

    'new AdamW': call((options) => new core.AdamW([init.normal([2, 2], 1)], options)),
    'AdamW#step': step(core.AdamW),
    'Optimizer#step': step(core.AdamW),
    'AdamW#advance': call((options) => optimizer(core.AdamW).advance(options)),
    'AdamW#apply': call((options) => optimizer(core.AdamW).apply(options)),
    'new Adafactor': call((options) => new train.Adafactor([init.normal([2, 2], 1)], options)),
    'Adafactor#step': step(train.Adafactor),
    'new Lion': call((options) => new train.Lion([init.normal([2, 2], 1)], options)),
    'Lion#step': step(train.Lion),
    'new SGD': call((options) => new train.SGD([init.normal([2, 2], 1)], options)),
    'SGD#step': step(train.SGD),
    fit: call((options) => core.fit(transformer, [{ source: [1], target: [1] }] as never, options), fitting, {
      earlyStopping: { metric: 'loss', patience: 1 },
    }),
    linearDecay: call((options) => core.linearDecay(1, options), { steps: 9 }),
    cosine: call((options) => train.cosine(1, options), { steps: 9 }),
    constant: call((options) => train.constant(1, options)),
    inverseSquareRoot: call((options) => train.inverseSquareRoot(1, options)),
    noam: call((options) => train.noam(8, options)),
    layerwiseGroups: call((options) => train.layerwiseGroups(transformer, options), { lr: 1, decay: 0.5 }),
    lengthBatches: call((options) => train.lengthBatches([{ source: [1], target: [1] }] as never, options)),
    shuffledBatches: call((options) => train.shuffledBatches([1, 2], options), { size: 1 }),
    windowBatches: call((options) => train.windowBatches([1, 2, 3, 4], options), { blockSize: 2, batchSize: 1 }),
    streamBatches: call((options) => train.streamBatches([] as never, options)),

    'new CrossAttention': call((options) => new nn.CrossAttention(init, options), {
      dModel: 8,
      heads: 2,
      memorySize: 6,
    }),
    'new MultiHeadAttention': call((options) => new nn.MultiHeadAttention(init, options), { dModel: 8, heads: 2 }),
    'new Conv1d': call((options) => new nn.Conv1d(init, options), { inputs: 1, outputs: 1, kernel: 1 }),
    'new Conv2d': call((options) => new nn.Conv2d(init, options), { inputs: 1, outputs: 1, kernel: [1, 1] }),
    'new ConvTranspose1d': call((options) => new nn.ConvTranspose1d(init, options), {
      inputs: 1,
      outputs: 1,
      kernel: 1,
    }),
    'new ConvTranspose2d': call((options) => new nn.ConvTranspose2d(init, options), {
      inputs: 1,
      outputs: 1,
      kernel: [1, 1],
    }),
    'new BucketBias': call((options) => new nn.BucketBias(init, options), {
      heads: 2,
      buckets: 8,
      maxDistance: 16,
      bidirectional: true,
    }),
    'new BatchNorm': call((options) => new nn.BatchNorm(init, 2, options)),
    'Embedding#forward': looking,
    'EmbeddingLookup#forward': looking,
    'PackedEmbedding#forward': looking,
    'PackedWeight#embedding': looking,
    'new FeedForward': call((options) => new nn.FeedForward(init, options), { dModel: 8 }),
    'new TransformerLayer': call((options) => new nn.TransformerLayer(options), {
      selfAttn: () => new nn.MultiHeadAttention(init, { dModel: 8, heads: 2 }),
      feedForward: () => new nn.FeedForward(init, { dModel: 8 }),
      norm: () => new nn.LayerNorm(init, 8),
    }),
    'new MixtureOfExperts': call((options) => new nn.MixtureOfExperts(init, options), {
      dModel: 8,
      dFF: 8,
      experts: 2,
      chosen: 1,
    }),
    'new PatchEmbedding': call((options) => new nn.PatchEmbedding(init, options), {
      dModel: 8,
      channels: 1,
      image: [4, 4],
      patch: [2, 2],
    }),
    'new RotaryEmbedding': call(
      (options) => new nn.RotaryEmbedding(init, options),
      {
        headSize: 8,
        maxLength: 16,
      },
      { scaling: { type: 'linear', factor: 2 } },
    ),
    'new Stack': call((options) => new nn.Stack(0, () => null as never, null, options)),
    rotaryAngles: call((options) => nn.rotaryAngles(4, 8, options)),
    sinusoids: call((options) => nn.sinusoids(4, 8, options)),
    'PackedWeight#linear': call((options) => packedLinear.weight.linear(wide, null, options), {}, { dropout }),
    'PackedWeight#linearPart': call(
      (options) => packedLinear.weight.linearPart(wide, 0, 8, null, options),
      {},
      { dropout },
    ),

    attention: call((options) => ops.attention(x, x, x, options), {}, { dropout }),
    attentionWeights: call((options) => ops.attentionWeights(x, x, options)),
    addLayerNorm: call((options) => ops.addLayerNorm(x, x, row, row, options)),
    argmax: call((options) => ops.argmax(x, options)),
    argmin: call((options) => ops.argmin(x, options)),
    bceWithLogits: call((options) => ops.bceWithLogits(x, x, options)),
    clamp: call((options) => ops.clamp(x, options), { min: 0 }),
    causalConv: call((options) => ops.causalConv(x, x, options)),
    gatedDeltaRule: call((options) => ops.gatedDeltaRule({ q: x, k: x, v: x, decay: x, beta: x }, options), {
      heads: 4,
    }),
    selectiveStateSpace: call((options) => ops.selectiveStateSpace({ q: x, k: x, v: x, decay: x }, options), {
      heads: 4,
    }),
    adaptiveAvgPool1d: call((options) => ops.adaptiveAvgPool1d(device.zeros([1, 1, 4]), 2, options)),
    adaptiveAvgPool2d: call((options) => ops.adaptiveAvgPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    avgPool1d: call((options) => ops.avgPool1d(device.zeros([1, 1, 4]), 2, options)),
    avgPool2d: call((options) => ops.avgPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    convTranspose1d: call((options) =>
      ops.convTranspose1d(device.zeros([1, 1, 4]), device.zeros([1, 1, 2]), null, options),
    ),
    convTranspose2d: call((options) =>
      ops.convTranspose2d(device.zeros([1, 1, 4, 4]), device.zeros([1, 1, 2, 2]), null, options),
    ),
    gridSample: call((options) => ops.gridSample(device.zeros([1, 2, 2, 2]), device.zeros([1, 2, 2, 2]), options)),
    interpolate: call((options) => ops.interpolate(device.zeros([1, 1, 4, 4]), options), { size: 2 }),
    maxPool1d: call((options) => ops.maxPool1d(device.zeros([1, 1, 4]), 2, options)),
    maxPool2d: call((options) => ops.maxPool2d(device.zeros([1, 1, 4, 4]), 2, options)),
    pad: call((options) => ops.pad(x, [1, 1], options)),
    pixelShuffle: call((options) => ops.pixelShuffle(device.zeros([1, 4, 1, 1]), 2, options)),
    pixelUnshuffle: call((options) => ops.pixelUnshuffle(device.zeros([1, 1, 2, 2]), 2, options)),
    conv1d: call((options) => ops.conv1d(device.zeros([1, 1, 4]), device.zeros([1, 1, 2]), null, options)),
    conv2d: call((options) => ops.conv2d(device.zeros([1, 1, 4, 4]), device.zeros([1, 1, 2, 2]), null, options)),
    cosineSimilarity: call((options) => ops.cosineSimilarity(x, x, options)),
    crossEntropy: call((options) => ops.crossEntropy(x, ids, options)),
    ctcLoss: call((options) => ops.ctcLoss(x.reshape([1, 2, 4]), ids.reshape([1, 2]), options)),
    cumsum: call((options) => ops.cumsum(x, options)),
    dropout: call((options) => ops.dropout(x, options), dropout),
    elu: call((options) => ops.elu(x, options)),
    embedding: looking,
    gelu: call((options) => ops.gelu(x, options)),
    klDiv: call((options) => ops.klDiv(x, x, options)),
    l1Loss: call((options) => ops.l1Loss(x, x, options)),
    layerNorm: call((options) => ops.layerNorm(x, row, row, options)),
    layerNormWithStats: call((options) => ops.layerNormWithStats(x, row, row, options)),
    leakyRelu: call((options) => ops.leakyRelu(x, options)),
    linear: call((options) => ops.linear(x, device.zeros([4, 4]), null, options), {}, { dropout }),
    logSoftmax: call((options) => ops.logSoftmax(x, options)),
    matmul: call((options) => ops.matmul(x, device.zeros([4, 4]), options)),
    max: call((options) => ops.max(x, options)),
    mean: call((options) => ops.mean(x, options)),
    min: call((options) => ops.min(x, options)),
    mseLoss: call((options) => ops.mseLoss(x, x, options)),
    nllLoss: call((options) => ops.nllLoss(x, ids, options)),
    norm: call((options) => ops.norm(x, options)),
    rmsNorm: call((options) => ops.rmsNorm(x, row, options)),
    rotary: call((options) => ops.rotary(x, ids, table, options)),
    rotaryTable: call((options) => ops.rotaryTable(x, x, options)),
    smoothL1Loss: call((options) => ops.smoothL1Loss(x, x, options)),
    softmax: call((options) => ops.softmax(x, options)),
    softplus: call((options) => ops.softplus(x, options)),
    std: call((options) => ops.std(x, options)),
    sum: call((options) => ops.sum(x, options)),
    topk: call((options) => ops.topk(x, 1, options)),
    variance: call((options) => ops.variance(x, options)),

    'new ContinuousBatching': call((options) => new ContinuousBatching(llama, options)),
    'ContinuousBatching#stream': call(
      (options) => each(batching.stream([1], options)),
      {},
      { responseFormat: { regex: 'a+' } },
    ),
    'new PromptCache': call((options) => new PromptCache(llama, options).dispose()),
    constrain: call((options) => constrain(llama.tokenizer as never, { regex: 'a+' }, options)),
    'PretrainedModel#constrain': call((options) => llama.constrain({ regex: 'a+' }, options)),
    'PretrainedModel#forward': call((options) => llama.forward({ inputIds: [[1]] }, options)),
    'PretrainedModel#forwardInParts': call((options) => atOnce(llama.forwardInParts({ inputIds: [[1]] }, options))),
    'PretrainedModel#encode': call((options) => bert.encode(['a'], options)),
    'PretrainedModel#encodeQuery': call((options) => bert.encodeQuery(['a'], options)),
    'PretrainedModel#encodeDocument': call((options) => bert.encodeDocument(['a'], options)),
    'PretrainedModel#encodeSparse': call((options) => masked.encodeSparse(['a'], options)),
    'PretrainedModel#encodeQuerySparse': call((options) => masked.encodeQuerySparse(['a'], options)),
    'PretrainedModel#encodeDocumentSparse': call((options) => masked.encodeDocumentSparse(['a'], options)),
    'PretrainedModel#decodeSparse': call((options) => masked.decodeSparse(sparse, options)),
    'PretrainedModel#encodeTokens': call((options) => bert.encodeTokens(['a'], options)),
    'PretrainedModel#computeScore': call((options) => m3.computeScore(['a', 'b'], options), {}, { weights: {} }),
    'PretrainedModel#predict': call((options) => ranker.predict([['a', 'b']], options), {}, { template }),
    'PretrainedModel#rank': call((options) => ranker.rank('a', ['b'], options), {}, { template }),
    'SimdformerRerank#rerank': call((options) => reranker.rerank(['a'], 'b', options)),
    promptApi: call(async (options) => promptApi('test/data/reference/llama', options).create()),
    'PromptApi#availability': creation((options) => languageModel.availability(options)),
    'PromptApi#create': creation((options) => languageModel.create(options)),
    'LanguageModelSession#prompt': call((options) => session.prompt('the cat', options)),
    'LanguageModelSession#promptStreaming': call((options) => session.promptStreaming('the cat', options).cancel()),
    'LanguageModelSession#append': call((options) => session.append('the cat', options)),
    'LanguageModelSession#clone': call((options) => session.clone(options)),
    createSimdformer: call((options) =>
      createSimdformer(options)
        .embeddingModel('test/data/reference/bert-pooler')
        .doEmbed({ values: ['a'] }),
    ),
    'PretrainedModel#save': call((options) => llama.save('/dev/null/none', options)),
    saveGguf: call((options) => saveGguf(llama, '/dev/null/none', options)),

    loadLora: call((options) => finetune.loadLora(llama, './none', options)),
    lora: adapters((options) => finetune.lora(llama, options).dispose()),
    'new Lora': adapters((options) => finetune.lora(llama, options).dispose()),
    'Lora#save': call((options) => adapter.save('/dev/null/none', options)),
    'Lora#toFiles': call((options) => adapter.toFiles(options)),
    'new CausalLanguageModel': call((options) => new finetune.CausalLanguageModel(llama, options)),
    'CausalLanguageModel#lossOfInParts': call((options) =>
      atOnce(new finetune.CausalLanguageModel(llama).lossOfInParts([{ text: 'the cat' }] as never, options)),
    ),
    'CausalLanguageModel#lossOf': call((options) =>
      new finetune.CausalLanguageModel(llama).lossOf([{ text: 'the cat' }] as never, options),
    ),
    'new Distillation': call((options) => new finetune.Distillation(classification, bert, options)),
    'new Embeddings': call((options) => new finetune.Embeddings(bert, options)),
    'new MaskedLanguageModel': call((options) => new finetune.MaskedLanguageModel(masked, options)),
    'new Preference': call((options) => new finetune.Preference(llama, options), { reference: packed }),
    embedTexts: call((options) => finetune.embedTexts(bert, ['a'], options)),
    classify: call((options) => finetune.classify(classification.model, rows, options)),
    evaluateClassification: call((options) => finetune.evaluateClassification(classification.model, rows, options)),
    evaluateCausal: call((options) => finetune.evaluateCausal(llama, rows, options)),
    evaluateEmbeddings: call((options) =>
      finetune.evaluateEmbeddings(bert, [{ text: 'a', pair: 'cat', score: 1 }] as never[], options),
    ),
    evaluateMasked: call((options) => finetune.evaluateMasked(masked, rows, options)),
    evaluateTokens: call((options) =>
      finetune.evaluateTokens(tagger, [{ words: ['the'], labels: ['O'] }] as never[], options),
    ),
    evaluateSequenceToSequence: call((options) =>
      finetune.evaluateSequenceToSequence(t5, [{ source: 'a', target: 'a' }] as never[], options),
    ),
    contrastiveLoss: call((options) => finetune.contrastiveLoss(x, x, [0, 1], options)),
    distillationLoss: call((options) => finetune.distillationLoss(x, x, options)),
    dpoLoss: call((options) =>
      finetune.dpoLoss({ chosen: row, rejected: row }, { chosen: row, rejected: row }, options),
    ),
    inBatchNegatives: call((options) => finetune.inBatchNegatives(x, x, options)),
    rankedCosineLoss: call((options) => finetune.rankedCosineLoss(x, x, [0, 1], options)),
    tripletLoss: call((options) => finetune.tripletLoss(x, x, x, options)),
    readRows: call((options) => each(finetune.readRows('none.jsonl', options))),
    bleu: call((options) => bleu(['a'], ['a'], options)),
    chrf: call((options) => chrf(['a'], ['a'], options)),
    f1: call((options) => f1(['a'], ['a'], options)),
    modelCost: call((options) => modelCost(transformer, options)),
    heatMapGridSvg: call((options) => heatMapGridSvg([{ title: 't', weights: [1] }], options), {
      queries: ['a'],
      keys: ['b'],
    }),
    curvesSvg: call((options) => curvesSvg([{ name: 'c', points: [[0, 1]] }], options), { x: 'step', y: 'loss' }),
    renderHeatMap: call((options) => renderHeatMap([1], options), { rows: ['a'], columns: ['b'] }),

    mpi: call(mpi),
    collect: call((options) => each(collect([], options)), queue),
    submit: call((options) => submit([], options), queue),
    createWorker: call(createWorker, { ...queue, task: transformerTask(transformer) }),
    transformerTask: call((options) => transformerTask(transformer, options)),
    openai: call(openai, { models: { llama } }),
    serve: call(serve, { models: { llama }, port: 0 }),

    pipeline: call((options) => tasks.pipeline('text-generation', smallModel('llama'), options)),
    'AutoModel.from_pretrained': call((options) =>
      tasks.AutoModelForCausalLM.from_pretrained(smallModel('llama'), options),
    ),
    'AutoTokenizer.from_pretrained': call((options) =>
      tasks.AutoTokenizer.from_pretrained('test/tasks/wordpiece', options),
    ),
    'TransformersModel#generate': call((options) => auto.generate(options), { input_ids: hf('a').input_ids }, written),
    'type TransformersTokenizer': call((options) => hf('a', options)),
    'TransformersTokenizer#encode': call((options) => hf.encode('a', options)),
    'TransformersTokenizer#tokenize': call((options) => hf.tokenize('a', options)),
    'TransformersTokenizer#decode': call((options) => hf.decode([5], options)),
    'TransformersTokenizer#batch_decode': call((options) => hf.batch_decode([[5]], options)),
    'TransformersTokenizer#apply_chat_template': call(
      (options) => hf.apply_chat_template(messages, options),
      {},
      { tools },
    ),
    'type SpeechRecognition': call((options) => pipes.recognize(new Float32Array(9), options), {}, written),
    'type TextToSpeech': call((options) => pipes.speech('a', options)),
    'type AudioClassification': call((options) => pipes.sounds(new Float32Array(900), options)),
    'type FeatureExtraction': call((options) => pipes.features('a', options)),
    'type FillMask': call((options) => pipes.fill('[MASK]', options)),
    'type ImageClassification': call((options) => pipes.images(image, options)),
    'type ImageFeatureExtraction': call((options) => pipes.imageFeatures(image, options)),
    'type ImageSegmentation': call((options) => pipes.segment(image, options)),
    'type BackgroundRemoval': call((options) => pipes.background(image, options)),
    'type ImageToImage': call((options) => pipes.enlarge(image, options)),
    'RawImage#resize': call((options) => new tasks.RawImage(new Uint8Array(12), 2, 2, 3).resize(3, 3, options)),
    'type DepthEstimation': call((options) => pipes.depth(image, options)),
    'type MaskGeneration': call((options) => pipes.masks(image, options), { points_per_crop: 1 }),
    'type ImageToText': call((options) => pipes.caption(image, options), {}, written),
    'type DocumentQuestionAnswering': call((options) => pipes.ask(image, 'a', options), {}, written),
    'type ImageTextToText': call(
      (options) => pipes.see(image, options),
      { text: 'w1' },
      {
        ...written,
        text: [{ role: 'user', content: 'w1' }],
      },
    ),
    'type ObjectDetection': call((options) => pipes.objects(image, options)),
    'type ZeroShotObjectDetection': call((options) => pipes.namedObjects(image, ['a cat'], options)),
    'type QuestionAnswering': call((options) => pipes.answer('a', 'a', options)),
    'type SentenceSimilarity': call((options) => pipes.similar('a', ['a'], options)),
    'type Summarization': call((options) => pipes.summarize('a', options), {}, written),
    'type TextClassification': call((options) => pipes.classify('a', options)),
    'type TextGeneration': call((options) => pipes.write(messages, options), {}, { tools, ...written }),
    'type TextRanking': call((options) => pipes.rank('a', ['a'], options)),
    'type TokenClassificationPipeline': call((options) => pipes.tokens('a', options)),
    'type Translate': call((options) => pipes.translate('a', options), {}, written),
    'type ZeroShotAudioClassification': call((options) => pipes.zeroShotSounds(new Float32Array(100), ['a'], options)),
    'type ZeroShotClassification': call((options) => pipes.zeroShot('a', ['a'], options)),
    'type ZeroShotImageClassification': call((options) => pipes.zeroShotImages(image, ['a'], options)),
    'new TextStreamer': call((options) => new tasks.TextStreamer(own, options)),
    'new TextStream': call((options) => new TextStream(own, options)),
    'new Chat': call(
      (options) => new tasks.Chat(llama, options).dispose(),
      {},
      {
        tools,
        messages,
      },
    ),
    'Chat#send': call(
      (options) => each(new tasks.Chat(llama).send('a', options)),
      { maxNewTokens: 1 },
      { responseFormat: { regex: 'a+' } },
    ),
  };
  return {
    calls,
    close: async () => {
      for (const close of closing) await close();
    },
  };
}
