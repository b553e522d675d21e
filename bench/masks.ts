// Cost of answers that follow a JSON Schema. Measures the time of masks beside that of the steps over a whole answer,
// for new and known schemas.
//
//     MASKS_MODEL=…/gemma-3-270m.Q4_K_M.gguf npm run bench -- masks

import { constrain } from '../src/constrain/index.js';
import type { LogitsProcessor } from '../src/generate/index.js';
import { createDevice } from '../src/index.js';
import { type LoadedModel, loadModel } from '../src/pretrained/index.js';
import type { Bench } from './harness/bench.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';

/** A person with addresses, as an application asks for. */
const schemaOf = (name: string) => ({
  type: 'object',
  properties: {
    [name]: { type: 'string' },
    email: { type: 'string', format: 'email' },
    age: { type: 'integer', minimum: 0, maximum: 150 },
    role: { enum: ['admin', 'editor', 'reader'] },
    active: { type: 'boolean' },
    addresses: {
      type: 'array',
      minItems: 2,
      maxItems: 3,
      items: {
        type: 'object',
        properties: { street: { type: 'string' }, zip: { type: 'string', pattern: '^[0-9]{5}$' } },
        required: ['street', 'zip'],
        additionalProperties: false,
      },
    },
    since: { type: 'string', format: 'date' },
  },
  required: [name, 'email', 'age', 'role', 'active', 'addresses', 'since'],
  additionalProperties: false,
});

export default {
  question: 'What part of the time of an answer of a JSON Schema do its masks take?',
  async run(run) {
    const { MASKS_MODEL: path } = process.env;
    if (!path) {
      run.note('Masks are NOT measured: MASKS_MODEL names no model');
      return;
    }
    const device = await createDevice({ threads: run.threads });
    const model = await loadModel(device, path);
    await answer(model, schemaOf('warm')); // the tree of the vocabulary is made at the first use
    const taken = { new: [] as Answered[], known: [] as Answered[] };
    for (let round = 0; round < run.rounds(5); round++)
      for (const kind of ['new', 'known'] as const) taken[kind].push(await answer(model, schemaOf(`name${round}`)));
    for (const [kind, all] of Object.entries(taken)) {
      const median = (of: (each: Answered) => number) => summarize(all.map(of)).median;
      run.row(
        `a mask of a schema that is ${kind}`,
        { times: { [OURS]: summarize(all.map(({ masks, tokens }) => masks / tokens)) }, ratios: {}, shares: {} },
        {
          'a step without, ms': 1e3 * median(({ seconds, masks, tokens }) => (seconds - masks) / tokens),
          '% of it': 100 * median(({ seconds, masks }) => masks / (seconds - masks)),
          tokens: median(({ tokens }) => tokens),
        },
      );
    }
    model.dispose();
    device.dispose();
  },
} satisfies Bench;

interface Answered {
  readonly tokens: number;
  readonly masks: number;
  readonly seconds: number;
}

/** Generates an answer. Returns the seconds of the answer and of its masks, including the preparation of the schema. */
async function answer(model: LoadedModel, schema: object): Promise<Answered> {
  const { tokenizer } = model;
  if (!tokenizer) throw new Error('the model has no tokenizer');
  let masks = 0;
  const timed = <T>(work: () => T): T => {
    const begin = performance.now();
    try {
      return work();
    } finally {
      masks += (performance.now() - begin) / 1e3;
    }
  };
  const prompt = tokenizer.encode('A person of the system, as JSON: ', { addSpecial: true });
  const begin = performance.now();
  const made = await constrain(tokenizer, { type: 'json_schema', schema });
  masks += (performance.now() - begin) / 1e3;
  const processors = made.logitsProcessors.map(
    (processor): LogitsProcessor =>
      (...args) =>
        timed(() => processor(...args)),
  );
  const stop = (tokens: readonly number[]) => timed(() => made.stop(tokens));
  const { sequences } = await model.generate([prompt], { logitsProcessors: processors, stop, maxNewTokens: 220 });
  const tokens = sequences[0]?.length ?? 0;
  return { tokens, masks, seconds: (performance.now() - begin) / 1e3 };
}
