// State-space models and hybrids. The cost of a token does not depend on its position. A training step costs little more
// than that of a dense model of the same size.
//
//     npm run bench -- hybrid

import { AdamW, createDevice, type Device, type Tensor } from '../src/index.js';
import type { CausalModel } from '../src/models/causal-model.js';
import type { Json } from '../src/models/model-config.js';
import { newModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS, recorded } from './harness/ours.js';

const WIDTH = 256;
const VOCABULARY = 4096;
const dense: Json = {
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: WIDTH,
  intermediate_size: 4 * WIDTH,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  max_position_embeddings: 8192,
};
/** Mamba-2 in all layers but each fourth, which has attention. */
const hybrid: Json = {
  ...dense,
  model_type: 'granitemoehybrid',
  layer_types: Array.from({ length: 8 }, (_, i) => (i % 4 === 3 ? 'attention' : 'mamba')),
  shared_intermediate_size: 3 * WIDTH,
  num_local_experts: 0,
  num_experts_per_tok: 0,
  mamba_n_heads: 8,
  mamba_d_head: 64,
  mamba_d_state: 64,
  mamba_n_groups: 1,
  mamba_expand: 2,
};
/** 24 layers of width 768, as in the published model of 130 M parameters. */
const mamba2: Json = {
  model_type: 'mamba2',
  vocab_size: VOCABULARY,
  hidden_size: 768,
  num_hidden_layers: 24,
  num_heads: 24,
  head_dim: 64,
  state_size: 128,
  n_groups: 1,
  expand: 2,
};

/** Positions of the tokens whose cost is compared. */
const [EARLY, LATE] = [64, 4096];

export default {
  question: 'What do late tokens of state-space models cost, and training steps of hybrids?',
  async run(run) {
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    await compareTokens(run, device);
    await compareTraining(run, device);
    device.dispose();
  },
} satisfies Bench;

async function compareTokens(run: Run, device: Device): Promise<void> {
  const what = `Mamba-2 of 130 M parameters, a token at position ${LATE} beside one at ${EARLY}`;
  if (!run.wants(what)) return;
  const model = (await newModel(device, mamba2, { head: 'language-model' })) as unknown as CausalModel;
  model.eval();
  const contestants = [LATE, EARLY].map((position): Contestant => {
    const state = model.startDecoding({ maxLength: 2 * LATE });
    model.prefill(state, [Array.from({ length: position }, (_, i) => (i * 37) % VOCABULARY)]).dispose();
    const program = device.record(() => model.step(state));
    const name = position === LATE ? OURS : `at position ${EARLY}`;
    return { ...recorded(device, program), name, isReference: position === EARLY };
  });
  run.row(what, await contest(contestants, { rounds: run.rounds(11), turn: 0.2, seconds: 10 }));
  model.dispose();
}

async function compareTraining(run: Run, device: Device): Promise<void> {
  const what = 'a training step of 4 × 256 tokens, a hybrid beside a dense model';
  if (!run.wants(what)) return;
  const rows = Array.from({ length: 4 }, (_, row) =>
    Array.from({ length: 256 }, (__, i) => (row * 131 + i * 37) % VOCABULARY),
  );
  const contestants: Contestant[] = [];
  const sizes: Record<string, number> = {};
  for (const [name, config] of [
    [OURS, hybrid],
    ['dense', dense],
  ] as const) {
    const model = (await newModel(device, config, { head: 'language-model' })) as unknown as CausalModel;
    const parameters = model.parameters();
    sizes[`parameters of ${name === OURS ? 'the hybrid' : 'the dense model'}, M`] =
      parameters.reduce((sum, { size }) => sum + size, 0) / 1e6;
    const optimizer = new AdamW(parameters, { lr: 1e-4 });
    contestants.push({
      name,
      take: async (repeats) => {
        const begin = performance.now();
        for (let i = 0; i < repeats; i++) {
          device.scope(() => {
            (model.forward({ inputIds: rows, labels: rows }).loss as Tensor).backward();
            optimizer.step();
            optimizer.zeroGrad();
          });
          await device.flush();
        }
        return { seconds: (performance.now() - begin) / 1e3 / repeats };
      },
    });
  }
  run.row(what, await contest(contestants, { rounds: run.rounds(9), turn: 0.3, seconds: 20 }), sizes);
}
