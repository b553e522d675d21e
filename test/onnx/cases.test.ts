// ONNX's published node cases for operators of Transformers, as make_cases.py wrote them, by ops of ours.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import type { Device, Shape, Tensor } from '../../src/index.js';
import {
  add,
  crossEntropy,
  gelu,
  layerNormWithStats,
  logSoftmax,
  matmul,
  nllLoss,
  permute,
  rmsNorm,
  rotary,
  rotaryTable,
  scale,
  softmax,
} from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose } from '../tolerance.js';

interface Encoded {
  readonly type: string;
  readonly shape: Shape;
  readonly data: string;
}

interface Attributes {
  readonly axis?: number;
  readonly epsilon?: number;
  readonly approximate?: 'none' | 'tanh';
  readonly alpha?: number;
  readonly beta?: number;
  readonly transA?: number;
  readonly transB?: number;
  readonly interleaved?: number;
  readonly num_heads?: number;
  readonly rotary_embedding_dim?: number;
  readonly reduction?: 'none' | 'sum' | 'mean';
  readonly ignore_index?: number;
}

interface Case {
  readonly op: string;
  readonly name: string;
  readonly attributes: Attributes;
  readonly inputs: readonly (Encoded | null)[];
  readonly outputs: readonly (Encoded | null)[];
}

const file = gunzipSync(readFileSync(new URL('./cases.json.gz', import.meta.url)));
const { cases } = JSON.parse(file.toString()) as { readonly cases: readonly Case[] };

function decode({ type, data }: Encoded): Float32Array | Int32Array {
  const bytes = Uint8Array.from(Buffer.from(data, 'base64')).buffer;
  return type.startsWith('int') ? new Int32Array(bytes) : new Float32Array(bytes);
}

type Inputs = readonly [x: Tensor, a: Tensor, b?: Tensor, c?: Tensor];

/** Functions that compute the outputs of an operator, in order. */
const operators: Record<string, (inputs: Inputs, attributes: Attributes) => Tensor[]> = {
  LayerNormalization([x, gamma, beta = null], { axis = -1, epsilon = 1e-5 }) {
    const { y, mean, rstd } = layerNormWithStats(x, gamma, beta, { axis, eps: epsilon });
    return [y, mean, rstd];
  },
  RMSNormalization: ([x, gamma], { axis = -1, epsilon = 1e-5 }) => [rmsNorm(x, gamma, { axis, eps: epsilon })],
  RotaryEmbedding: ([x, cos, sin, positions], attributes) => [
    embedRotary(x, cos, sin as Tensor, positions, attributes),
  ],
  Softmax: ([x], { axis = -1 }) => [softmax(x, { axis })],
  LogSoftmax: ([x], { axis = -1 }) => [logSoftmax(x, { axis })],
  Gelu: ([x], { approximate }) => [gelu(x, { approximate })],
  MatMul: ([a, b]) => [matmul(a, b)],
  Gemm([a, b, c], { alpha = 1, beta = 1, transA = 0, transB = 0 }) {
    const product = scale(matmul(a, b, { transposeA: transA === 1, transposeB: transB === 1 }), alpha);
    return [c ? add(product, scale(c, beta)) : product];
  },
  SoftmaxCrossEntropyLoss([logits, targets, weight = null], { reduction, ignore_index = null }) {
    const loss = crossEntropy(logits, targets, { weight, reduction, ignoreIndex: ignore_index, axis: 1 });
    return [loss, logSoftmax(logits, { axis: 1 })];
  },
  NegativeLogLikelihoodLoss: ([logProbs, targets, weight = null], { reduction, ignore_index = null }) => [
    nllLoss(logProbs, targets, { weight, reduction, ignoreIndex: ignore_index, axis: 1 }),
  ],
};

/** `x` is [B, T, heads·d], as `rotary` has it, or [B, heads, T, d]. */
function embedRotary(x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor | undefined, attributes: Attributes) {
  const byHead = x.shape.length === 4;
  const heads = byHead ? x.shape[1]! : attributes.num_heads!;
  const rows = byHead ? permute(x, [0, 2, 1, 3]).reshape(x.shape[0]!, x.shape[2]!, -1) : x;
  const layout = attributes.interleaved === 1 ? 'interleaved' : 'halves';
  const headSize = rows.shape[2]! / heads;
  const turning = attributes.rotary_embedding_dim || headSize;
  expect(cos.shape.at(-1)).toBe(turning / 2);
  const y = rotary(rows, positions ?? null, rotaryTable(cos, sin, { layout }), { headSize, layout });
  return byHead ? permute(y.reshape(x.shape[0]!, x.shape[2]!, heads, headSize), [0, 2, 1, 3]) : y;
}

async function check(device: Device, { op, attributes, inputs, outputs }: Case) {
  const given = inputs.map((input) => input && device.tensor(decode(input), input.shape));
  const results = operators[op]!(given.map((tensor) => tensor ?? undefined) as unknown as Inputs, attributes);
  for (const [i, output] of outputs.entries()) {
    if (output === null) continue;
    expect(results[i]!.shape).toEqual(output.shape);
    const expected = Float64Array.from(decode(output));
    assertClose(`output ${i}`, await results[i]!.data(), expected, (at) => 1e-6 + 2e-5 * Math.abs(expected[at]!));
  }
}

it('has all of the published cases', () => {
  const counts: Record<string, number> = {};
  for (const { op } of cases) counts[op] = (counts[op] ?? 0) + 1;
  expect(counts).toEqual({
    LayerNormalization: 19,
    RMSNormalization: 19,
    RotaryEmbedding: 8,
    Softmax: 7,
    LogSoftmax: 7,
    Gelu: 4,
    MatMul: 7,
    Gemm: 11,
    SoftmaxCrossEntropyLoss: 34,
    NegativeLogLikelihoodLoss: 18,
  });
});

it.each(isas.flatMap((isa) => cases.map((each) => [isa, each.name, each] as const)))('%s: %s', async (isa, _, each) => {
  await check(await deviceFor(isa, 2), each);
});
