// Layers with each kind of part: steps of decoding give the results of one pass, and gradients equal finite
// differences.
import { describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import { AlternatingUpdates, LearnedResidual, StreamEntry, StreamExit } from '../../src/nn/alternating-updates.js';
import {
  BucketBias,
  DecoderState,
  DistanceBias,
  FeedForward,
  Initializer,
  LayerNorm,
  type LayerParts,
  MultiHeadAttention,
  type MultiHeadOptions,
  PlainRMSNorm,
  Random,
  RelativeVectors,
  RMSNorm,
  RotaryEmbedding,
  Sequences,
  Stack,
  type StackParts,
  TransformerLayer,
} from '../../src/nn/index.js';
import { PerLayerGate, PerLayerInputs, PerLayerWiring } from '../../src/nn/per-layer-inputs.js';
import { KeysAsValuesAttention, NormedValueAttention, ReusingAttention } from '../../src/nn/shared-keys.js';
import { sparseGates } from '../../src/nn/sparse-gates.js';
import { mul, sum } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 2);
const dModel = 12;
const TIME = 7;

interface Kind {
  readonly attention?: (init: Initializer) => Partial<MultiHeadOptions>;
  readonly layer?: (init: Initializer) => Partial<LayerParts>;
  readonly stack?: (init: Initializer) => StackParts;
}

const rotary = (init: Initializer, more: object = {}) =>
  new RotaryEmbedding(init, { headSize: 6, maxLength: 64, layout: 'halves', ...more });

const ownInputs = (init: Initializer) => ({
  dModel,
  width: 5,
  norm: (features: number) => new RMSNorm(init, features),
});

const gemma = (init: Initializer) => ({
  dModel,
  heads: 2,
  causal: true,
  vNorm: () => new PlainRMSNorm(),
  kNorm: () => new RMSNorm(init, 6),
});

const kinds: Record<string, Kind> = {
  'without positions (NoPE)': {},
  'grouped heads of another width': { attention: () => ({ kvHeads: 1, headSize: 5 }) },
  'biases on one side': { attention: () => ({ bias: true, outBias: false }) },
  'a sliding window': { attention: () => ({ window: 3 }) },
  'a soft cap and a scale': { attention: () => ({ softcap: 1.5, scale: 0.7 }) },
  'norms of queries and keys, head by head': {
    attention: (init) => ({ qNorm: () => new RMSNorm(init, 6), kNorm: () => new RMSNorm(init, 6) }),
  },
  'norms of all heads together': {
    attention: (init) => ({ qNorm: () => new RMSNorm(init, 12), kNorm: () => new RMSNorm(init, 12) }),
  },
  'norms of values': {
    layer: (init) => ({
      selfAttn: () => new NormedValueAttention(init, { ...gemma(init), kvHeads: 1 }),
    }),
  },
  'keys as values': {
    layer: (init) => ({ selfAttn: () => new KeysAsValuesAttention(init, { ...gemma(init), rotary: rotary(init) }) }),
  },
  'keys of the first layer': {
    layer: (init) => {
      const vNorm = () => new PlainRMSNorm();
      const options = { dModel, heads: 2, causal: true, window: 3, rotary: rotary(init) };
      let source: NormedValueAttention | null = null;
      return {
        selfAttn: () => {
          if (source) return new ReusingAttention(init, options, source);
          source = new NormedValueAttention(init, { ...options, vNorm });
          return source;
        },
      };
    },
  },
  'inputs of layers': {
    layer: (init) => {
      let layer = 0;
      const own = () => new PerLayerGate(init, { ...ownInputs(init), layer: layer++, activation: 'gelu' });
      return { wiring: () => new PerLayerWiring(init, own) };
    },
    stack: (init) => ({ entry: () => new PerLayerInputs(init, 2, ownInputs(init)) }),
  },
  'streams that are predicted and corrected': {
    layer: (init) => {
      let layer = 0;
      const norm = () => new RMSNorm(init, dModel);
      const own = () => new PerLayerGate(init, { ...ownInputs(init), layer: layer++, activation: 'gelu' });
      const residual = () => new LearnedResidual(init, dModel, 2, norm);
      const options = { dModel, streams: 3, active: 1, clip: null, norm, residual, perLayer: own, scaled: true };
      return { wiring: () => new AlternatingUpdates(init, options) };
    },
    stack: (init) => ({
      entry: () => new StreamEntry(init, dModel, 3, () => new PerLayerInputs(init, 2, ownInputs(init))),
      exit: () => new StreamExit(init, dModel, 3),
    }),
  },
  'sparse gates': {
    layer: (init) => ({
      feedForward: () =>
        new FeedForward(init, { dModel, dFF: 10, gated: true, gateFilter: sparseGates(0.4), activation: 'gelu' }),
    }),
  },
  'rotary positions': { attention: (init) => ({ rotary: rotary(init) }) },
  'rotary positions with norms before': {
    attention: (init) => ({
      rotary: rotary(init),
      qNorm: () => new RMSNorm(init, 6),
      kNorm: () => new RMSNorm(init, 6),
    }),
  },
  'rotary of part of a head': { attention: (init) => ({ rotary: rotary(init, { rotaryDim: 4 }) }) },
  'rotary, linear': { attention: (init) => ({ rotary: rotary(init, { scaling: { type: 'linear', factor: 4 } }) }) },
  'rotary, llama3': {
    attention: (init) => ({
      rotary: rotary(init, {
        scaling: { type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxLength: 16 },
      }),
    }),
  },
  'rotary, YaRN': {
    attention: (init) => ({ rotary: rotary(init, { scaling: { type: 'yarn', factor: 4, originalMaxLength: 16 } }) }),
  },
  'a bias by distance': { attention: (init) => ({ positionBias: () => new DistanceBias(init, 2, 3) }) },
  'a bias by bucket': {
    attention: (init) => ({
      positionBias: new BucketBias(init, { heads: 2, buckets: 8, maxDistance: 6, bidirectional: false }),
    }),
  },
  'vectors by distance': { attention: (init) => ({ relative: () => new RelativeVectors(init, 6, 3) }) },
  'norms before': { layer: () => ({ wiring: 'pre' }) },
  'norms of branches': { layer: () => ({ wiring: 'branch' }) },
  'residual connections after norms': { layer: () => ({ wiring: 'normed' }) },
  'parallel branches': { layer: () => ({ wiring: 'parallel' }) },
  'a sandwich of norms': {
    layer: (init) => ({ wiring: 'pre', postNorm: () => new RMSNorm(init, dModel, 1e-6, 1) }),
  },
  'RMS norms with 1 + w': { layer: (init) => ({ wiring: 'pre', norm: () => new RMSNorm(init, dModel, 1e-6, 1) }) },
  'gated units': {
    layer: (init) => ({
      feedForward: () => new FeedForward(init, { dModel, dFF: 10, gated: true, activation: 'silu' }),
    }),
  },
};

function stackOf({ attention, layer, stack: more }: Kind): Stack {
  const init = new Initializer(device, 3);
  const own = attention?.(init) ?? {};
  const parts = {
    selfAttn: () => new MultiHeadAttention(init, { dModel, heads: 2, causal: true, ...own }),
    feedForward: () => new FeedForward(init, { dModel, dFF: 10, activation: 'gelu' }),
    norm: () => new LayerNorm(init, dModel),
    ...layer?.(init),
  };
  const stack = new Stack(2, () => new TransformerLayer(parts), null, more?.(init)).eval() as Stack;
  const random = new Random(5, 0);
  for (const parameter of stack.parameters())
    parameter.write(Float32Array.from(parameter.dataSync(), (value) => value + 0.3 * random.normal()));
  return stack;
}

const inputOf = (): Tensor => {
  const random = new Random(7, 0);
  return device.tensor(
    Float32Array.from({ length: TIME * dModel }, () => random.normal()),
    [TIME, dModel],
  );
};

describe.each(Object.entries(kinds))('a stack with %s', (_, kind) => {
  it('steps give the results of one pass', () => {
    const stack = stackOf(kind);
    const [x, batch] = [inputOf(), Sequences.of(device, [TIME])];
    const whole = stack.forward(x, batch).dataSync();
    const sizes = { model: stack, sources: 1, beams: 1, capacity: TIME, sourceCapacity: 0 };
    const state = new DecoderState(device, { ...sizes, caches: stack.cacheSpecs() });
    const first = 3; // the first tokens are read at once, the others one by one
    stack.forward(x.rows(0, first), Sequences.of(device, [first]), { state });
    state.setLengths(Int32Array.of(first));
    for (let t = first; t < TIME; t++) {
      state.advance();
      const step = stack.step(x.rows(t, t + 1), state).dataSync();
      const largest = Math.max(...Array.from(whole, Math.abs));
      for (let i = 0; i < dModel; i++)
        expect(Math.abs(step[i]! - whole[t * dModel + i]!), `token ${t}`).toBeLessThan(1e-5 * largest);
    }
    stack.dispose();
    state.dispose();
  });

  it('has the gradients of finite differences', () => {
    const stack = stackOf(kind);
    const [x, batch, weights] = [inputOf(), Sequences.of(device, [4, 3]), inputOf()];
    const loss = () => sum(mul(stack.forward(x, batch), weights));
    loss().backward();
    const random = new Random(11, 0);
    const value = () => device.noGrad(() => device.scope(() => loss().dataSync()[0]!));
    for (const [name, parameter] of stack.namedTensors()) {
      if (!parameter.requiresGrad) continue;
      const gradient = parameter.grad?.dataSync() ?? new Float32Array(parameter.size);
      const values = parameter.dataSync() as Float32Array;
      const largest = Math.max(...Array.from(gradient, Math.abs));
      for (let n = 0; n < 2; n++) {
        const at = random.below(parameter.size);
        const h = 4e-3;
        const moved = (by: number) => {
          parameter.write(Float32Array.from(values, (v, i) => (i === at ? v + by : v)));
          return value();
        };
        const difference = (moved(h) - moved(-h)) / (2 * h);
        parameter.write(values);
        // The tolerance covers float32 sums of some hundred terms, divided by 2h, and the error h² of the differences.
        expect(Math.abs(difference - gradient[at]!), `${name}[${at}]`).toBeLessThan(0.02 + 0.02 * largest);
      }
    }
    stack.dispose();
  });
});

it('BucketBias refuses a maximum distance below that of buckets of one distance', () => {
  const options = { heads: 1, buckets: 32, maxDistance: 8, bidirectional: true };
  expect(() => new BucketBias(new Initializer(device, 0), options)).toThrow(
    /maxDistance is 8, expected a number above 8/,
  );
});
