// Whisper in several languages, beside what transformers' pipeline hears (make_languages.py): which language it is, and what
// `language` and `task` change.
import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { pipeline, type SpeechRecognitionOptions } from '../../src/tasks/index.js';

interface Case {
  readonly step: number;
  readonly seconds: number;
  readonly options: SpeechRecognitionOptions;
  readonly detected: string;
  readonly output: { readonly text: string; readonly chunks: readonly { text: string; language: string }[] };
}
const cases: readonly Case[] = JSON.parse(readFileSync(new URL('languages.json', import.meta.url), 'utf8'));
const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(`whisper/${name}`, import.meta.url)));
const names = ['config', 'generation_config', 'preprocessor_config', 'tokenizer', 'tokenizer_config'];
const files = (changes: object = {}): Record<string, Uint8Array> => ({
  ...Object.fromEntries(names.map((name) => [`${name}.json`, bytesOf(`${name}.json`)])),
  'generation_config.json': new TextEncoder().encode(
    JSON.stringify({ ...JSON.parse(new TextDecoder().decode(bytesOf('generation_config.json'))), ...changes }),
  ),
  'model.safetensors': bytesOf('model.safetensors'),
});

/** Sound made of whole numbers, as in make_languages.py. */
function sound(step: number, seconds: number): Float32Array {
  return Float32Array.from({ length: Math.trunc(16_000 * seconds) }, (_, i) => {
    const saw = Math.fround(((i * step) % 1009) / 1009 - 0.5);
    return Math.fround(Math.fround(saw * (Math.floor(i / 800) % 3)) / 4);
  });
}

const recognize = await pipeline('automatic-speech-recognition', files());
afterAll(() => recognize.dispose());

it('has recordings in several languages', () => {
  expect(new Set(cases.map(({ detected }) => detected)).size).toBeGreaterThan(2);
});

it.each(cases)('$seconds s of $step, $options', async ({ step, seconds, options, output }) => {
  const times = seconds > 3 ? { return_timestamps: true } : {};
  const heard = await recognize(sound(step, seconds), { ...options, ...times, return_language: true });
  expect(heard).toEqual(output);
});

it('transcribes several recordings at once, each in its own language', async () => {
  const plain = cases.filter(({ options, seconds }) => Object.keys(options).length === 0 && seconds <= 3);
  const heard = await recognize(
    plain.map(({ step, seconds }) => sound(step, seconds)),
    { return_language: true },
  );
  expect(heard).toEqual(plain.map(({ output }) => output));
});

it('refuses languages that the model does not have, and any language for English-only models', async () => {
  const samples = sound(3, 1);
  await expect(recognize(samples, { language: 'es' })).rejects.toThrow(/language is es, but the model has .*de/);
  await expect(recognize(samples, { language: 'Klingon' })).rejects.toThrow('Klingon');
  const english = await pipeline('automatic-speech-recognition', files({ is_multilingual: false }));
  await expect(english(samples, { language: 'de' })).rejects.toThrow('language is de, but the model has only English');
  await expect(english(samples, { task: 'translate' })).rejects.toThrow('English-only');
  await english.dispose();
});
