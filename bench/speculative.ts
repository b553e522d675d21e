// Speculative decoding by prompt look-up: with the option `draft`, and by itself in a shared batch. 96 tokens after 96,
// for texts that repeat their prompt, texts that do not, and texts that repeat only three tokens at a time. Weights are
// random, so the generated text is forced.

import { ContinuousBatching } from '../src/generate/index.js';
import { createDevice, type GenerateOptions, Transformer } from '../src/index.js';
import { Random } from '../src/nn/index.js';
import type { Bench, Run } from './harness/bench.js';
import { contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';

const LENGTH = 96;
const VOCABULARY = 8192;
const sizes = { dModel: 576, heads: 9, kvHeads: 3, dFF: 1536, encoderLayers: 0, decoderLayers: 12 };
const PLAIN = 'step by step';

/** Forces the output, whatever the weights are: the prompt once more, other tokens, or three of the prompt and two others. */
const texts = {
  'repeats its prompt': (prompt: readonly number[], _: readonly number[]) => prompt,
  'repeats nothing': (_: readonly number[], other: readonly number[]) => other,
  'repeats three tokens at a time': (prompt: readonly number[], other: readonly number[]) =>
    other.map((token, i) => (i % 5 < 3 ? (prompt[(((i - (i % 5)) * 7) % 90) + (i % 5)] as number) : token)),
} as const;

/** Generates a forced text, with guesses or without. Returns its tokens. */
type Write = (text: readonly number[], guesses: boolean) => Promise<readonly number[]>;

export default {
  question: 'What are guesses by prompt look-up worth, and what do they cost where nothing repeats?',
  async run(run) {
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    const settings = { ...sizes, targetVocab: VOCABULARY, maxLength: 256, positions: 'rotary', norm: 'pre' } as const;
    const model = new Transformer(device, settings).eval();
    const random = new Random(1);
    const drawn = () => Array.from({ length: LENGTH }, () => 3 + random.below(VOCABULARY - 3));
    const [prompt, other] = [drawn(), drawn()];
    const options = (text: readonly number[]) => ({ maxNewTokens: LENGTH, stopTokens: [], prefix: [...text] });
    const batches = (['never', 'auto'] as const).map((lookup) => new ContinuousBatching(model, { lookup }));
    const ways: Record<string, Write> = {
      'draft: ': async (text, guesses) => {
        const draft: GenerateOptions = guesses ? { draft: 'prompt' } : {};
        return (await model.generate([prompt], { ...options(text), ...draft })).sequences[0] as number[];
      },
      'shared batch: ': async (text, guesses) => {
        const tokens: number[] = [];
        const batch = batches[Number(guesses)] as ContinuousBatching;
        // Without a scope of its own, the text would be guessed by the answer of the turn before.
        const prefixScope = `${scopes++}`;
        for await (const { token } of batch.stream(prompt, { ...options(text), prefixScope })) tokens.push(token);
        return tokens;
      },
    };
    let scopes = 0;
    for (const [way, write] of Object.entries(ways))
      for (const [name, textOf] of Object.entries(texts))
        if (run.wants(way + name)) await measure(run, way + name, write, textOf(prompt, other));
    for (const batch of batches) await batch.dispose();
    model.dispose();
    device.dispose();
  },
} satisfies Bench;

async function measure(run: Run, name: string, write: Write, text: readonly number[]): Promise<void> {
  if (`${await write(text, true)}` !== `${await write(text, false)}`)
    throw new BenchError(`${name}: guesses change the text`);
  const take = async (repeats: number, guesses: boolean) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) await write(text, guesses);
    return { seconds: (performance.now() - start) / 1e3 / repeats };
  };
  const contestants = [
    { name: OURS, take: (repeats: number) => take(repeats, true) },
    { name: PLAIN, take: (repeats: number) => take(repeats, false) },
  ];
  const outcome = await contest(contestants, { rounds: run.rounds(9), seconds: 10, warming: 2 });
  run.row(name, outcome, { 'tokens/s': LENGTH / (outcome.times[OURS]?.median as number) });
}
