// Inputs at the edge: texts that are too long or no texts, silence, and models that do not fit a task.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { pipeline, type TaskName } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';
import { smallModel } from './small-model.js';

const labels = (...names: string[]) => ({ id2label: { ...names }, label2id: {} });
const NLI = labels('contradiction', 'neutral', 'entailment', 'other');

let device: Device;
beforeAll(async () => {
  device = await createDevice();
});
afterAll(() => device.dispose());

/** Every number of a result. */
function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(numbersOf);
}

describe('a text that is too long', () => {
  const long = 'cat '.repeat(60);
  const cases: [TaskName, string, object, unknown[]][] = [
    ['feature-extraction', 'bert-pooler', {}, [['a', long]]],
    ['text-classification', 'bert-sequence', {}, [['a', long]]],
    ['token-classification', 'bert-token', {}, [['a', long]]],
    ['fill-mask', 'bert-mlm', {}, [['a [MASK]', `[MASK] ${long}`]]],
    ['zero-shot-classification', 'bert-sequence', NLI, [['a', long], ['b']]],
    ['sentence-similarity', 'bert-pooler', {}, ['a', [long]]],
    ['summarization', 't5', {}, [['a', long.repeat(20)], { max_new_tokens: 2 }]],
  ];
  it.each(cases)('is truncated by %s, or refused by name if truncate is false', async (task, name, changes, args) => {
    await using pipe = await pipeline(task, smallModel(name, changes), { device });
    const call = pipe as unknown as (...args: unknown[]) => Promise<unknown>;
    const [last] = args.slice(-1);
    const own = typeof last === 'object' && !Array.isArray(last) ? args.slice(0, -1) : args;
    const options = own.length < args.length ? (last as object) : {};
    await call(...own, options);
    await expect(call(...own, { ...options, truncate: false })).rejects.toThrow(
      /^[\w-]+: text 1, ".*…", has \d+ tokens, but the model reads \d+: shorten it, or leave truncate out/,
    );
    await expect(call(...own, { ...options, truncate: 'no' })).rejects.toThrow(
      'truncate is "no", expected true or false',
    );
  });

  it('is refused by the model itself, with its length and the limit', async () => {
    using model = await loadModel(device, smallModel('bert-pooler'));
    const limit = model.maxLength;
    const inputIds = [[1, 2], Array<number>(limit + 1).fill(3)];
    expect(() => model.forward({ inputIds })).toThrow(
      `forward: sequence 1 of inputIds has ${limit + 1} tokens, but the model reads ${limit}`,
    );
  });
});

describe('an item that is not text', () => {
  it('is named by its index', async () => {
    await using embed = await pipeline('feature-extraction', smallModel('bert-pooler'), { device });
    await expect(embed(['a', null as unknown as string])).rejects.toThrow('texts[1] is null, expected a string');
    await expect(embed(new Array(2))).rejects.toThrow('texts[0] is undefined');
    await using classify = await pipeline('text-classification', smallModel('bert-sequence'), { device });
    await expect(classify(['a', 3 as unknown as string])).rejects.toThrow('texts[1] is 3');
  });

  it('is named by its index among messages and conversations, too', async () => {
    const template = '{% for m in messages %}{{ m.content }}{% endfor %}';
    await using write = await pipeline('text-generation', smallModel('llama', {}, { chat_template: template }), {
      device,
    });
    const user = { role: 'user', content: 'a' };
    const cases: [unknown, string][] = [
      [7, 'the input is 7, expected text or messages, one or several'],
      [['a', user], 'inputs[1] is an object, expected text'],
      [[[user], 'a'], 'inputs[1] is "a", expected messages'],
      [[[user], [user, 7]], 'inputs[1][1] is 7, expected { role, content }'],
      [[user, { role: 3 }], "messages[1].role is 3, expected text such as 'user'"],
      [[user, { role: 'user', content: 3 }], 'messages[1].content is 3, expected text or an array of parts'],
    ];
    for (const [given, message] of cases)
      await expect(write(given as string)).rejects.toThrow(`text-generation: ${message}`);
  });
});

describe('zero-shot-classification', () => {
  it('refuses a model without a label for entailment, by its name', async () => {
    const model = smallModel('bert-sequence', labels('NEGATIVE', 'POSITIVE', 'MIXED', 'OTHER'));
    await expect(pipeline('zero-shot-classification', model, { device })).rejects.toThrow(
      "the model the given files has the labels NEGATIVE, POSITIVE, MIXED, OTHER, expected a model for natural language inference, with a label 'entailment'",
    );
    const bare = pipeline('zero-shot-classification', smallModel('bert-mlm', { id2label: undefined }), { device });
    await expect(bare).rejects.toThrow('the model the given files has no labels, expected');
  });

  it('finds the label at any index', async () => {
    for (const changes of [
      NLI,
      labels('Entailment', 'neutral', 'b', 'c'),
      labels('not_entailment', 'entail', 'x', 'y'),
    ]) {
      await using classify = await pipeline('zero-shot-classification', smallModel('bert-sequence', changes), {
        device,
      });
      for (const multi_label of [false, true]) {
        const { scores } = await classify('the cat sat', ['cat', 'dog'], { multi_label });
        for (const score of scores) expect(score).toBeGreaterThan(0);
        if (!multi_label) expect(scores[0]! + scores[1]!).toBeCloseTo(1, 6);
        expect(scores[0]).not.toBe(scores[1]);
      }
    }
  });
});

describe('no pipeline gives NaN', () => {
  const texts = ['', 'a', 'the cat sat on a big red mat', '🙂 Ünal', 'x'.repeat(500)];
  const cases: [TaskName, string, object, (text: string) => unknown[]][] = [
    ['feature-extraction', 'bert-pooler', {}, (text) => [text, { pooling: 'mean', normalize: true }]],
    ['feature-extraction', 'bert-pooler', {}, (text) => [text]],
    ['feature-extraction', 't5', {}, (text) => [text || 'a', { pooling: 'mean', normalize: true }]],
    ['sentence-similarity', 'bert-pooler', {}, (text) => [text, ['a', '']]],
    ['text-classification', 'bert-sequence', {}, (text) => [text, { top_k: null }]],
    ['text-classification', 'bert-regression', {}, (text) => [text, { function_to_apply: 'softmax', top_k: null }]],
    ['text-classification', 'bert-multilabel', {}, (text) => [text, { top_k: null }]],
    ['text-ranking', 'bert-regression', {}, (text) => [text, ['a', 'the cat']]],
    [
      'token-classification',
      'bert-token',
      {},
      (text) => [text, { ignore_labels: [], aggregation_strategy: 'average' }],
    ],
    ['fill-mask', 'bert-mlm', {}, (text) => [`[MASK] ${text}`]],
    ['zero-shot-classification', 'bert-sequence', NLI, (text) => [text, ['cat', 'dog'], { multi_label: true }]],
    ['zero-shot-classification', 'bert-sequence', NLI, (text) => [text, 'cat']],
    ['question-answering', 'bert-qa', {}, (text) => ['who?', text, { top_k: 3, handle_impossible_answer: true }]],
    ['text-generation', 'llama', {}, (text) => [text || 'a', { max_new_tokens: 3, output_scores: true }]],
    ['text2text-generation', 't5', {}, (text) => [text || 'a', { max_new_tokens: 3, output_scores: true }]],
  ];
  it.each(cases)('%s on %s %j', async (task, name, changes, args) => {
    await using pipe = await pipeline(task, smallModel(name, changes), { device });
    const call = pipe as unknown as (...args: unknown[]) => Promise<unknown>;
    for (const text of texts) {
      const numbers = numbersOf(await call(...args(text)));
      expect(numbers.filter(Number.isNaN), `${task} of ${JSON.stringify(text)}`).toEqual([]);
    }
  });
});

describe('a recording without speech', () => {
  it('has no text if it is empty, or if the model hears silence in it', async () => {
    await using recognize = await pipeline('automatic-speech-recognition', 'test/tasks/whisper', { device });
    const silence = new Float32Array(16_000);
    // The weights are random: the model writes letters if it may write nothing else, and is never sure of silence.
    const letters = { suppress_tokens: Array.from({ length: 163 }, (_, i) => 256 + i), max_new_tokens: 4 };
    expect(await recognize(new Float32Array(0), letters)).toEqual({ text: '' });
    const written = await recognize(silence, { ...letters, no_speech_threshold: null });
    expect(written.text).not.toBe('');
    expect(await recognize(silence, letters)).toEqual(written); // the default is 0.6
    const told: string[] = [];
    const onText = ({ text }: { text: string }) => void told.push(text);
    const options = { ...letters, no_speech_threshold: 0, onText };
    expect(await recognize(silence, options)).toEqual({ text: '' });
    expect(told).toEqual([]);
    expect(await recognize([new Float32Array(0), silence], letters)).toEqual([{ text: '' }, written]);
  });
});

describeReal('whisper-tiny.en', (path) => {
  it('transcribes nothing in silence and in noise, where it would write " you"', async () => {
    await using recognize = await pipeline('automatic-speech-recognition', path, { device });
    const noise = Float32Array.from({ length: 80_000 }, (_, i) => 0.02 * Math.sin(i * i * 12.9898));
    for (const sound of [new Float32Array(1600), new Float32Array(40 * 16_000), noise.map((x) => x / 100), noise]) {
      expect(await recognize(sound)).toEqual({ text: '' });
      expect(await recognize(sound, { chunk_length_s: 10 })).toEqual({ text: '' });
    }
    expect(await recognize(new Float32Array(16_000), { no_speech_threshold: null })).toEqual({ text: ' you' });
  });
});
