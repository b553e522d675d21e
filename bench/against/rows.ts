// The rows of the tables of docs/speed.md, written so that a package of any version can run them.

import type { Device, DeviceOptions, GenerateOptions, Tensor } from '../../src/index.js';
import type { TransformerOptions } from '../../src/models/index.js';
import type { Turn } from '../harness/contest.js';
import { patterned, sampleOf } from '../harness/ours.js';
import type { Package } from './package.js';

/** Work that is repeated. */
export type Work = (repeats: number) => Turn | Promise<Turn>;

export interface Row {
  /** The backend. Default: the addon. */
  readonly backend?: DeviceOptions['backend'];
  make(its: Package, device: Device): Work;
}

/** Measures the seconds of `once`, and samples its result. */
function timed(repeats: number, once: () => void, result: () => ArrayLike<number>): Turn {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) once();
  return { seconds: (performance.now() - start) / 1e3 / repeats, sample: sampleOf(result()) };
}

/** Records `op` `copies` times in one program. */
function recorded(device: Device, op: () => Tensor, copies = 1): Work {
  const program = device.noGrad(() => device.record(() => Array.from({ length: copies }, op)[0] as Tensor));
  const once = () => {
    program.run();
    device.flushSync();
  };
  return (repeats) => timed(repeats, once, () => program.result.dataSync());
}

const product = (m: number, k: number, n: number): Row => ({
  make({ linear }, device) {
    const [a, b] = [patterned(device, [m, k], 1021), patterned(device, [k, n], 1019)];
    const bias = device.zeros([n]);
    return recorded(device, () => linear(a, b, bias), Math.ceil(Math.min(64, 1e8 / (2 * m * k * n))));
  },
});

const attend = (tokens: number, { causal = false, backward = false } = {}): Row => ({
  make({ attention }, device) {
    const [q, k, v, dy] = [1021, 1019, 1013, 1009].map((period) => patterned(device, [1, tokens, 768], period)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    if (!backward) return recorded(device, () => attention(q, k, v, { heads: 12, causal }));
    for (const x of [q, k, v]) x.requiresGrad = true;
    return (repeats) => {
      let milliseconds = 0;
      for (let i = 0; i < repeats; i++) {
        for (const x of [q, k, v]) x.zeroGrad();
        device.scope(() => {
          const y = attention(q, k, v, { heads: 12, causal });
          device.flushSync();
          const start = performance.now();
          y.backward(dy);
          device.flushSync();
          milliseconds += performance.now() - start;
        });
      }
      return { seconds: milliseconds / 1e3 / repeats, sample: sampleOf((q.grad as Tensor).dataSync()) };
    };
  },
});

type Pointwise = 'layerNorm' | 'addLayerNorm' | 'softmax' | 'gelu' | 'crossEntropy';

const pointwise = (op: Pointwise, rows: number, cols: number): Row => ({
  make({ addLayerNorm, crossEntropy, gelu, layerNorm, softmax }, device) {
    const [x, y] = [patterned(device, [rows, cols], 1021), patterned(device, [rows, cols], 1019)];
    const [gamma, beta] = [patterned(device, [cols], 1013), patterned(device, [cols], 1009)];
    const labels = device.tensor(Int32Array.from({ length: rows }, (_, i) => (i * 97) % cols));
    const results = {
      layerNorm: () => layerNorm(x, gamma, beta),
      addLayerNorm: () => addLayerNorm(x, y, gamma, beta).normed,
      softmax: () => softmax(x),
      gelu: () => gelu(x),
      crossEntropy: () => crossEntropy(x, labels),
    };
    return recorded(device, results[op]);
  },
});

const adamw = (rows: number, cols: number): Row => ({
  make({ AdamW, mul }, device) {
    const parameter = patterned(device, [rows, cols], 1021);
    parameter.requiresGrad = true;
    const gradient = patterned(device, [rows, cols], 1019);
    device.scope(() => mul(parameter, gradient).backward(device.full([rows, cols], 1)));
    const optimizer = new AdamW([parameter], { lr: 1e-3, weightDecay: 0.01 });
    const once = () => {
      optimizer.step();
      device.flushSync();
    };
    return (repeats) => timed(repeats, once, () => parameter.dataSync());
  },
});

/** BERT's layers, without embeddings. */
const encoder = (layers: number, dModel: number, batch: number, tokens: number, backend?: Row['backend']): Row => ({
  backend,
  make({ Transformer }, device) {
    const sizes = { dModel, heads: 12, dFF: 4 * dModel, encoderLayers: layers, decoderLayers: 0, sourceVocab: 1 };
    const model = new Transformer(device, { ...sizes, activation: 'gelu', finalNorm: false, padId: null }).eval();
    const x = patterned(device, [batch * tokens, dModel], 1021);
    const packed = model.batch(Array.from({ length: batch }, () => Array<number>(tokens).fill(0)));
    const stack = model.transformer.encoder as NonNullable<typeof model.transformer.encoder>;
    return recorded(device, () => stack.forward(x, packed));
  },
});

interface Task {
  readonly model: TransformerOptions;
  readonly batch: number;
  readonly source: readonly [number, number] | null;
  readonly target: readonly [number, number];
}

const train = ({ model: options, batch, source, target }: Task, isRecorded = false): Row => ({
  make({ AdamW, Random, Transformer }, device) {
    const model = new Transformer(device, { ...options, dropout: 0, maxLength: 128 });
    const random = new Random(1);
    const sequences = ([shortest, longest]: readonly [number, number], vocabulary = 0) =>
      Array.from({ length: batch }, () => {
        const length = shortest + random.below(longest - shortest + 1);
        return Array.from({ length }, () => 3 + random.below(vocabulary - 3));
      });
    const batches = Array.from({ length: 4 }, () => ({
      sources: source && sequences(source, options.sourceVocab),
      targets: sequences(target, options.targetVocab),
    }));
    const optimizer = new AdamW(model.parameters(), { lr: 1e-4, beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 });
    const settings = { labelSmoothing: 0.1 };
    const eager = ({ sources, targets }: (typeof batches)[number]): number =>
      device.scope(() => {
        const loss = model.loss(sources, targets, settings);
        loss.backward();
        optimizer.step({ maxNorm: 1 });
        optimizer.zeroGrad();
        return loss.dataSync()[0] as number;
      });
    const record = () => {
      const { input, labels } = model.shift(batches[0]?.targets as number[][]);
      const program = device.record(() => {
        const loss = model.loss(null, { input, labels }, settings);
        loss.backward();
        optimizer.apply({ maxNorm: 1 });
        optimizer.zeroGrad();
        return loss;
      });
      return ({ targets }: (typeof batches)[number]): number => {
        input.ids.write(Int32Array.from(targets.flatMap((row) => row.slice(0, -1))));
        labels.write(Int32Array.from(targets.flatMap((row) => row.slice(1))));
        return program.run(optimizer.advance()).dataSync()[0] as number;
      };
    };
    const step = isRecorded ? record() : eager;
    let steps = 0;
    let loss = 0;
    const once = () => {
      loss = step(batches[steps++ % batches.length] as (typeof batches)[number]);
    };
    return (repeats) => timed(repeats, once, () => [loss]);
  },
});

const generation = (
  layers: number,
  dModel: number,
  heads: number,
  vocabulary: number,
  beams: number,
  batch: number,
): Row => ({
  make({ Random, Transformer }, device) {
    const sizes = { dModel, heads, dFF: 4 * dModel, encoderLayers: layers, decoderLayers: layers, maxLength: 64 };
    const model = new Transformer(device, { ...sizes, sourceVocab: vocabulary, targetVocab: vocabulary }).eval();
    const random = new Random(1);
    const sources = Array.from({ length: batch }, () =>
      Array.from({ length: 32 }, () => 3 + random.below(vocabulary - 3)),
    );
    const options: GenerateOptions = { maxNewTokens: 32, minNewTokens: 32, numBeams: beams };
    return async (repeats) => {
      const start = performance.now();
      let first: number[] = [];
      for (let i = 0; i < repeats; i++)
        first = (await model.generate(sources, options)).logProbabilities[0] as number[];
      return { seconds: (performance.now() - start) / 1e3 / repeats, sample: first };
    };
  },
});

const small = { dModel: 128, heads: 4, norm: 'pre' } as const;
const nanogpt: Task = {
  model: { ...small, encoderLayers: 0, decoderLayers: 4, activation: 'gelu', targetVocab: 65 },
  batch: 12,
  source: null,
  target: [65, 65],
};

/** Rows by table and name. */
export const tables: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  gemm: Object.fromEntries(
    [512, 3072].flatMap((k) =>
      [8, 512, 2048].map((m) => {
        const n = k === 512 ? 2048 : 768;
        return [`linear ${m}: ${k}→${n}`, product(m, k, n)];
      }),
    ),
  ),
  attention: {
    'T 128': attend(128),
    'T 128, causal': attend(128, { causal: true }),
    'T 1024': attend(1024),
    'T 1024, causal': attend(1024, { causal: true }),
    'T 1024, backward': attend(1024, { backward: true }),
    'T 4096': attend(4096),
    'T 4096, causal': attend(4096, { causal: true }),
  },
  pointwise: {
    ...Object.fromEntries(
      [128, 16384].flatMap((rows) =>
        (['layerNorm', 'addLayerNorm', 'softmax', 'gelu'] as const).map((op) => [
          `${op} ${rows} × 768`,
          pointwise(op, rows, 768),
        ]),
      ),
    ),
    'crossEntropy 512 × 8000': pointwise('crossEntropy', 512, 8000),
    'crossEntropy 512 × 32000': pointwise('crossEntropy', 512, 32000),
    'adamw 256 × 1024': adamw(256, 1024),
    'adamw 16384 × 1024': adamw(16384, 1024),
  },
  encoder: Object.fromEntries(
    [[12, 768] as const, [6, 384] as const].flatMap(([layers, width]) =>
      [[1, 16] as const, [1, 128] as const, [8, 128] as const].map(([batch, tokens]) => [
        `${layers} × ${width}, ${batch} × ${tokens} tokens`,
        encoder(layers, width, batch, tokens),
      ]),
    ),
  ),
  train: {
    'paper: 6+6 layers, d 512': train({
      model: { sourceVocab: 8000, targetVocab: 8000 },
      batch: 16,
      source: [32, 32],
      target: [33, 33],
    }),
    'small: 4+4 layers, d 128': train({
      model: { ...small, encoderLayers: 4, decoderLayers: 4, sourceVocab: 50, targetVocab: 50 },
      batch: 256,
      source: [10, 10],
      target: [10, 10],
    }),
    "nanoGPT's CPU configuration": train(nanogpt),
    "nanoGPT's CPU configuration, recorded": train(nanogpt, true),
    "the quickstart's, ragged": train({
      model: { ...small, encoderLayers: 2, decoderLayers: 2, sourceVocab: 30, targetVocab: 42 },
      batch: 256,
      source: [3, 12],
      target: [3, 12],
    }),
  },
  decode: {
    '6+6 layers, d 512, greedy, batch 1': generation(6, 512, 8, 32000, 1, 1),
    '6+6 layers, d 512, greedy, batch 16': generation(6, 512, 8, 32000, 1, 16),
    '6+6 layers, d 512, greedy, batch 32': generation(6, 512, 8, 32000, 1, 32),
    '6+6 layers, d 512, beam 4, batch 1': generation(6, 512, 8, 32000, 4, 1),
    '6+6 layers, d 512, beam 4, batch 16': generation(6, 512, 8, 32000, 4, 16),
    '4+4 layers, d 128, greedy, batch 1': generation(4, 128, 4, 50, 1, 1),
    '4+4 layers, d 128, greedy, batch 32': generation(4, 128, 4, 50, 1, 32),
  },
  wasm: {
    'Node: encoder 12 × 768, 1 × 128 tokens': encoder(12, 768, 1, 128, 'wasm'),
    'Node: encoder 6 × 384, 1 × 128 tokens': encoder(6, 384, 1, 128, 'wasm'),
  },
};
