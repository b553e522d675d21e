// Classes of transformers.js for one model, streams and conditions, beside what transformers.js says
// (make_transformers_js.mjs).
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import * as tasks from '../../src/tasks/index.js';
import {
  AutoConfig,
  type AutoModelClass,
  AutoModelForCausalLM,
  AutoTokenizer,
  BaseStreamer,
  EosTokenCriteria,
  env,
  LogLevel,
  log_softmax,
  MaxLengthCriteria,
  rand,
  randn,
  StoppingCriteriaList,
  TextStreamer,
  WhisperForConditionalGeneration,
  WhisperProcessor,
  WhisperTextStreamer,
  WhisperTokenizer,
} from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { smallModel } from './small-model.js';
import recorded from './transformers-js.json' with { type: 'json' };

const device = await deviceFor(isas.at(-1) as string, 2);
const whisperFolder = fileURLToPath(new URL('whisper', import.meta.url));

/** A checkpoint for each class of transformers that has its name here. */
const byName = readdirSync(testData('families').path).flatMap((folder) => {
  if (!/^[a-z][\w-]*$/.test(folder)) return [];
  const { path } = testData(`families/${folder}`);
  const { architectures } = JSON.parse(readFileSync(`${path}/config.json`, 'utf8'));
  return Object.hasOwn(tasks, architectures?.[0]) ? [[String(architectures[0]), path] as const] : [];
});
const checkpoints = [...new Map(byName)].map(([name, path]) => ({ name, path }));

describe('classes of one model', () => {
  it('are those of scripts/transformers-names.mjs', () => {
    const run = ['scripts/transformers-names.mjs', '--check'];
    const { status, stderr } = spawnSync(process.execPath, run, { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(checkpoints.length).toBeGreaterThan(100);
  });

  it.each(checkpoints)('$name loads the head of $path', async ({ path, name }) => {
    const expected = await loadModel(device, path, { onWarning() {} });
    const of = (tasks as unknown as Record<string, AutoModelClass>)[name]!;
    const { model } = await of.from_pretrained(path, { device, onWarning() {} });
    expect(model.headKind).toBe(expected.headKind);
    expect(Object.keys(model.stateDict())).toEqual(Object.keys(expected.stateDict()));
    model.dispose();
    expected.dispose();
  });

  it('prepare the inputs of a model', async () => {
    const tokenizer = await WhisperTokenizer.from_pretrained(whisperFolder);
    expect(tokenizer.encode('', { add_special_tokens: false })).toEqual([]);
    const processor = await WhisperProcessor.from_pretrained(whisperFolder);
    const { input_features } = await processor(new Float32Array(16_000));
    expect(input_features!.dims).toHaveLength(3);
  });

  it('read config.json alone, and name the levels of messages', async () => {
    const config = await AutoConfig.from_pretrained(whisperFolder);
    expect(config).toEqual(JSON.parse(readFileSync(`${whisperFolder}/config.json`, 'utf8')));
    await expect(AutoConfig.from_pretrained(whisperFolder, { reversion: 'x' } as object)).rejects.toThrow('reversion');
    expect(env.logLevel).toBe(LogLevel.WARNING);
  });
});

describe('a streamer of Whisper', () => {
  it('tells the texts and times of transformers.js', async () => {
    const tokenizer = await AutoTokenizer.from_pretrained(whisperFolder);
    const { transcript, told: expected, seen: expectedTokens } = recorded.whisper;
    const told: [string, unknown][] = [];
    const seen: number[] = [];
    const tell = (name: string) => (value?: unknown) => {
      const last = told.at(-1);
      if (name === 'text' && last?.[0] === 'text') last[1] = `${last[1]}${value}`;
      else told.push([name, value ?? null]);
    };
    const streamer = new WhisperTextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: tell('text'),
      on_chunk_start: tell('start'),
      on_chunk_end: tell('end'),
      on_finalize: tell('finalize'),
      token_callback_function: (tokens) => void seen.push(...tokens),
    });
    expect(streamer).toBeInstanceOf(BaseStreamer);
    streamer.put([transcript.slice(0, 3)]);
    for (const token of transcript.slice(3)) streamer.put([[token]]);
    streamer.end();
    // transformers.js holds the last word of a segment back until a space follows.
    const texts = (all: readonly (readonly unknown[])[]) =>
      all.flatMap(([name, text]) => (name === 'text' ? [text] : [])).join('');
    const times = (all: readonly (readonly unknown[])[]) => all.filter(([name]) => name !== 'text');
    expect(texts(told)).toBe(texts(expected));
    expect(times(told)).toEqual(times(expected));
    expect(seen).toEqual(expectedTokens);
  });

  it('follows a generation, and needs a tokenizer of Whisper', async () => {
    const processor = await WhisperProcessor.from_pretrained(whisperFolder);
    const model = await WhisperForConditionalGeneration.from_pretrained(whisperFolder, { device });
    const inputs = await processor(Float32Array.from({ length: 40_000 }, (_, i) => Math.sin(i / 9)));
    const tokens: number[] = [];
    let ends = 0;
    const streamer = new WhisperTextStreamer(processor.tokenizer!, {
      callback_function() {},
      token_callback_function: (row) => void tokens.push(...row),
      on_finalize: () => void ends++,
    });
    const options = { ...inputs, return_timestamps: true, max_new_tokens: 8, streamer };
    const written = await model.generate(options);
    expect(tokens).toEqual(Array.from(written.data, Number));
    expect(ends).toBe(1);
    await model.dispose();
    const other = await AutoTokenizer.from_pretrained(smallModel('llama'));
    expect(() => new WhisperTextStreamer(other)).toThrow('the tokenizer has no <|notimestamps|>');
  });
});

it('conditions end a generation, alone and in a list', async () => {
  const tokenizer = await AutoTokenizer.from_pretrained(smallModel('llama'));
  const model = await AutoModelForCausalLM.from_pretrained(smallModel('llama'), { device });
  const inputs = tokenizer('the cat', { add_special_tokens: false });
  const whole = await model.generate({ ...inputs, max_new_tokens: 6 });
  const pieces: string[] = [];
  const streamer = new TextStreamer(tokenizer, { callback_function: (text) => void pieces.push(text) });
  const end = Number(whole.data[4]);
  const first = Array.from(whole.data, Number).indexOf(end, 2);
  const cut = await model.generate({ ...inputs, stopping_criteria: new EosTokenCriteria(end), streamer });
  expect(cut.data).toEqual(whole.data.slice(0, first + 1));
  expect(pieces.join('')).toBe(tokenizer.decode(cut.data, { skip_special_tokens: true }));
  const list = new StoppingCriteriaList();
  list.push(new EosTokenCriteria([end + 1000]));
  list.extend([new MaxLengthCriteria(4)]);
  list.extend(new MaxLengthCriteria(40));
  expect([...list]).toHaveLength(3);
  const short = await model.generate({ ...inputs, max_new_tokens: 6, stopping_criteria: list });
  expect(short.data).toEqual(whole.data.slice(0, 4));
  await model.dispose();
});

it('numbers by chance have their distribution, and log_softmax the numbers of transformers.js', () => {
  const [uniform, normal] = [rand([4, 2500]), randn([100, 100])];
  expect([uniform.dims, normal.dims]).toEqual([
    [4, 2500],
    [100, 100],
  ]);
  expect(uniform.min().item()).toBeGreaterThanOrEqual(0);
  expect(uniform.max().item()).toBeLessThan(1);
  const [deviation, mean] = tasks.std_mean(normal);
  expect(Math.abs(mean.item())).toBeLessThan(0.06); // 6 standard deviations
  expect(Math.abs(deviation.item() - 1)).toBeLessThan(0.05);
  expect(Math.abs(uniform.mean().item() - 0.5)).toBeLessThan(0.02);
  for (const [i, value] of log_softmax([1, 2, 3.5]).entries()) expect(value).toBeCloseTo(recorded.log_softmax[i]!, 13);
});
