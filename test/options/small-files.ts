// Files of small models for pipelines.

import { readFileSync } from 'node:fs';

const bytes = (path: string) => new Uint8Array(readFileSync(`test/${path}`));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const modelIn = (folder: string) => ({
  'config.json': bytes(`${folder}/config.json`),
  'model.safetensors': bytes(`${folder}/model.safetensors`),
});
const recordedIn = (path: string) => JSON.parse(readFileSync(`test/${path}`, 'utf8'));

/** The files of a model that sees, with the processor (and the tokenizer) that make_media.py recorded for it. */
export function visionModel(task: string, name: string): Record<string, Uint8Array> {
  const recorded = recordedIn('tasks/media.json')[task] as Record<string, unknown>[];
  const { processor, tokenizer, config } = recorded.find(({ model }) => model === name) as Record<string, unknown>;
  return {
    ...modelIn(`data/families/${name}`),
    'preprocessor_config.json': json(processor),
    ...(tokenizer ? { 'tokenizer.json': json(tokenizer), 'tokenizer_config.json': json(config) } : {}),
  };
}

/** The files of a detector, with the processor and the tokenizer that make_detections.py recorded. */
export function detector(kind: string, processor?: object): Record<string, Uint8Array> {
  const { processors, tokenizer } = recordedIn('tasks/detections.json');
  return {
    ...modelIn(`data/families/${kind}`),
    'preprocessor_config.json': json(processor ?? processors[kind]),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json({}),
  };
}

/** Files of such a model, with a label for backgrounds. */
export function withBackground(files: Record<string, Uint8Array>): Record<string, Uint8Array> {
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const labels = { ...config, id2label: { ...config.id2label, 0: 'background' } };
  return { ...files, 'config.json': json(labels) };
}

/** The files of a model of sounds, with the processor of test/tasks/spelled. */
export function soundModel(): Record<string, Uint8Array> {
  return {
    ...modelIn('data/families/hubert-classes'),
    'preprocessor_config.json': bytes('tasks/spelled/preprocessor_config.json'),
  };
}

/** The files of CLAP, with the processor and the tokenizer that make_zero_shot_audio.py recorded. */
export function soundJudge(): Record<string, Uint8Array> {
  const { processor, tokenizer } = recordedIn('tasks/zero-shot-audio.json');
  return {
    ...modelIn('data/families/clap'),
    'preprocessor_config.json': json(processor),
    'tokenizer.json': json(tokenizer),
  };
}

/** The files of a model that speaks, with a vocabulary of letters. */
export function speakingModel(): Record<string, Uint8Array> {
  const path = 'data/families/vits';
  const config = JSON.parse(new TextDecoder().decode(bytes(`${path}/config.json`)));
  return {
    'config.json': json({ ...config, speaking_rate: 1e6 }),
    'model.safetensors': bytes(`${path}/model.safetensors`),
    'vocab.json': json({ _: 0, a: 1, '<unk>': 2 }),
    'tokenizer_config.json': json({ phonemize: false }),
  };
}
