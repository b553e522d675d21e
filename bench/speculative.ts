// Speculative decoding with drafts from the prompt, for texts that repeat their prompt and texts that do not: 96 tokens
// after 96. Weights are random, so the generated text is forced.

import { createDevice, type GenerateOptions, Transformer } from '../src/index.js';
import { Random } from '../src/nn/index.js';
import type { Bench } from './harness/bench.js';
import { contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';

const LENGTH = 96;
const VOCABULARY = 8192;
const sizes = { dModel: 576, heads: 9, kvHeads: 3, dFF: 1536, encoderLayers: 0, decoderLayers: 12 };
const PLAIN = 'step by step';

/** Forces the output, whatever the weights are: the prompt once more, or other tokens. */
const texts = {
  'repeats its prompt': (prompt: readonly number[], _: readonly number[]) => prompt,
  'repeats nothing': (_: readonly number[], other: readonly number[]) => other,
} as const;

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
    for (const [name, textOf] of Object.entries(texts)) {
      if (!run.wants(name)) continue;
      const options: GenerateOptions = { maxNewTokens: LENGTH, stopTokens: [], prefix: textOf(prompt, other) };
      const written = async (draft?: 'prompt') => (await model.generate([prompt], { ...options, draft })).sequences[0];
      if (`${await written('prompt')}` !== `${await written()}`)
        throw new BenchError(`${name}: guesses change the text`);
      const take = async (repeats: number, draft?: 'prompt') => {
        const start = performance.now();
        for (let i = 0; i < repeats; i++) await written(draft);
        return { seconds: (performance.now() - start) / 1e3 / repeats };
      };
      const contestants = [
        { name: OURS, take: (repeats: number) => take(repeats, 'prompt') },
        { name: PLAIN, take: (repeats: number) => take(repeats) },
      ];
      const outcome = await contest(contestants, { rounds: run.rounds(9), seconds: 10, warming: 2 });
      run.row(name, outcome, { 'tokens/s': LENGTH / (outcome.times[OURS]?.median as number) });
    }
    model.dispose();
    device.dispose();
  },
} satisfies Bench;
