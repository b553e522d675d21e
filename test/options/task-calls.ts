// Calls of pipelines, chats and transformers.js' classes.

import { TextStream } from '../../src/tasks/chat/text-stream.js';
import * as tasks from '../../src/tasks/index.js';
import { imageTextModel } from '../tasks/image-text-model.js';
import { programModel } from '../tasks/program-models.js';
import { smallModel } from '../tasks/small-model.js';
import { upscalerFiles } from '../tasks/upscaler.js';
import { type Calls, call, each, messages, reads, tools } from './call.js';
import { type Models, talking } from './models.js';
import { detector, soundJudge, soundModel, speakingModel, visionModel, withBackground } from './small-files.js';

const written = { ...reads, response_format: { regex: 'a+' } };

/** Calls of transformers.js' classes. */
export async function transformersCalls({ device, keep }: Models): Promise<Calls> {
  const hf = await tasks.AutoTokenizer.from_pretrained(talking());
  const auto = keep(await tasks.AutoModelForCausalLM.from_pretrained(smallModel('llama'), { device }));
  const sam = await tasks.AutoProcessor.from_pretrained(programModel('sam'));
  const words = await tasks.AutoProcessor.from_pretrained(smallModel('llama'));
  const masks = new tasks.HostTensor(new Float32Array(4), [1, 1, 1, 2, 2]);
  return {
    pipeline: call((options) => tasks.pipeline('text-generation', smallModel('llama'), options)),
    // Other names of it are AutoProcessor and AutoImageProcessor.
    'AutoFeatureExtractor.from_pretrained': call((options) =>
      tasks.AutoFeatureExtractor.from_pretrained(programModel('sam'), options),
    ),
    'TransformersProcessor#post_process_masks': call((options) =>
      sam.post_process_masks(masks, [[2, 2]], [[2, 2]], options),
    ),
    'TransformersProcessor#decode': call((options) => words.decode([5], options)),
    'TransformersProcessor#batch_decode': call((options) => words.batch_decode([[5]], options)),
    'TransformersProcessor#apply_chat_template': call(
      (options) => words.apply_chat_template(messages, options),
      { chat_template: '{{ messages[0].content }}', tokenize: true },
      { tools },
    ),
    'AutoConfig.from_pretrained': call((options) => tasks.AutoConfig.from_pretrained(smallModel('llama'), options)),
    'AutoModel.from_pretrained': call((options) =>
      tasks.AutoModelForCausalLM.from_pretrained(smallModel('llama'), options),
    ),
    'AutoTokenizer.from_pretrained': call((options) =>
      tasks.AutoTokenizer.from_pretrained('test/tasks/wordpiece', options),
    ),
    'TransformersModel#generate': call((options) => auto.generate(options), { input_ids: hf('a').input_ids }, written),
    layer_norm: call((options) => tasks.layer_norm(masks, [2], options)),
    interpolate_4d: call((options) => tasks.interpolate_4d(masks.view(1, 1, 2, 2), options as { size: number[] }), {
      size: [1, 2],
    }),
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
  };
}

/** Opens a pipeline of each task. */
async function openPipes({ device, pipe, keep, load, llama, bert, masked, tagger, t5 }: Models) {
  const names = { 0: 'entailment', 1: 'neutral', 2: 'contradiction', 3: 'other' };
  const nli = await load('bert-sequence', { id2label: names, label2id: {} });
  const segformer = { image_processor_type: 'SegformerImageProcessor', size: { height: 64, width: 32 } };
  const vit = { image_processor_type: 'ViTImageProcessor', size: { height: 24, width: 24 } };
  const square = { height: 48, width: 48 };
  const sam = { image_processor_type: 'SamImageProcessor', size: { longest_edge: 48 }, pad_size: square };
  return {
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
}

/** Calls of pipelines. Their options are those of the types. */
export async function taskCalls(models: Models): Promise<Calls> {
  const pipes = await openPipes(models);
  const image = { width: 2, height: 2, data: new Uint8Array(12) };
  return {
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
    'type ClassifyTokens': call((options) => pipes.tokens('a', options)),
    'type Translate': call((options) => pipes.translate('a', options), {}, written),
    'type ZeroShotAudioClassification': call((options) => pipes.zeroShotSounds(new Float32Array(100), ['a'], options)),
    'type ZeroShotClassification': call((options) => pipes.zeroShot('a', ['a'], options)),
    'type ZeroShotImageClassification': call((options) => pipes.zeroShotImages(image, ['a'], options)),
  };
}

/** Calls of chats. */
export async function chatCalls({ llama, own }: Models): Promise<Calls> {
  const whisper = await tasks.WhisperTokenizer.from_pretrained('test/tasks/whisper');
  return {
    'new WhisperTextStreamer': call((options) => new tasks.WhisperTextStreamer(whisper, options)),
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
}
