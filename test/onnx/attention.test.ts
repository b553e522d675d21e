// ONNX's published node cases for Attention, as make_attention.py wrote them. Its inputs are put into the layout of
// `attention`; what they ask for are options of ours.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import type { Device, Shape, Tensor } from '../../src/index.js';
import { type AttentionOptions, attention, attentionWeights, concat, permute } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose } from '../tolerance.js';

interface Encoded {
  readonly type: string;
  readonly shape: Shape;
  readonly data: string;
}

interface Case {
  readonly name: string;
  readonly attributes: {
    readonly scale?: number;
    readonly softcap?: number;
    readonly is_causal?: number;
    readonly q_num_heads?: number;
    readonly kv_num_heads?: number;
    readonly left_window_size?: number;
    readonly right_window_size?: number;
    readonly qk_matmul_output_mode?: number;
  };
  readonly inputs: Readonly<Record<'Q' | 'K' | 'V', Encoded>> &
    Readonly<Partial<Record<'attn_mask' | 'past_key' | 'past_value' | 'nonpad_kv_seqlen', Encoded>>>;
  readonly outputs: Readonly<Record<string, Encoded>>;
}

const file = gunzipSync(readFileSync(new URL('./attention.json.gz', import.meta.url)));
const { cases } = JSON.parse(file.toString()) as { readonly cases: readonly Case[] };

const isInteger = ({ type }: Encoded) => type === 'bool' || type.startsWith('int');

function decode(encoded: Encoded): Float32Array | Int32Array {
  const bytes = Uint8Array.from(Buffer.from(encoded.data, 'base64')).buffer;
  return isInteger(encoded) ? new Int32Array(bytes) : new Float32Array(bytes);
}

/** [B, heads, T, d] of what may be [B, T, heads·d]. */
function byHead(x: Tensor, heads: number): Tensor {
  if (x.shape.length === 4) return x;
  const [B, T] = x.shape as [number, number];
  return permute(x.reshape(B, T, heads, -1), [0, 2, 1, 3]);
}

/** [B, T, heads·d] of [B, heads, T, d]. */
const rowsOf = (x: Tensor) => permute(x, [0, 2, 1, 3]).reshape(x.shape[0]!, x.shape[2]!, -1);

/** A mask with a column for each key: those that it does not have are out of sight. */
function maskOf(device: Device, mask: Encoded, keys: number): Pick<AttentionOptions, 'bias' | 'mask'> {
  const cols = mask.shape.at(-1)!;
  const width = cols === 1 ? 1 : keys;
  const given = decode(mask);
  const integer = isInteger(mask);
  const size = (given.length / cols) * width;
  const all = integer ? new Int32Array(size) : new Float32Array(size).fill(Number.NEGATIVE_INFINITY);
  for (let row = 0; row * cols < given.length; row++) {
    all.set(given.subarray(row * cols, (row + 1) * cols), row * width);
  }
  const tensor = device.tensor(all, [...mask.shape.slice(0, -1), width]);
  return integer ? { mask: tensor } : { bias: tensor };
}

const STAGES = ['raw', 'capped', 'biased', 'softmax'] as const;

function run(device: Device, { inputs, attributes }: Case): Record<string, Tensor> {
  const tensorOf = (encoded: Encoded) => device.tensor(decode(encoded), encoded.shape);
  const [Q, K, V] = [inputs.Q, inputs.K, inputs.V].map(tensorOf) as [Tensor, Tensor, Tensor];
  const heads = attributes.q_num_heads ?? Q.shape[1]!;
  const kvHeads = attributes.kv_num_heads ?? K.shape[1]!;
  const withPast = (past: Encoded | undefined, x: Tensor) => (past ? concat([tensorOf(past), x], 2) : x);
  const key = withPast(inputs.past_key, byHead(K, kvHeads));
  const value = withPast(inputs.past_value, byHead(V, kvHeads));
  const lengthsK = inputs.nonpad_kv_seqlen ? tensorOf(inputs.nonpad_kv_seqlen) : null;
  const options: AttentionOptions = {
    heads,
    kvHeads,
    scale: attributes.scale,
    softcap: attributes.softcap || null,
    causal: attributes.is_causal === 1,
    window: [attributes.left_window_size ?? -1, attributes.right_window_size ?? -1],
    // With lengths the last query stands at the last key, which is our default.
    offset: lengthsK ? undefined : (inputs.past_key?.shape[2] ?? 0),
    ...(inputs.attn_mask ? maskOf(device, inputs.attn_mask, key.shape[2]!) : {}),
  };
  const [q, k, v] = [byHead(Q, heads), key, value].map(rowsOf) as [Tensor, Tensor, Tensor];
  const y = attention(q, k, v, { ...options, lengthsK });
  const stage = STAGES[attributes.qk_matmul_output_mode ?? 0]!;
  // ONNX's products are those of padding as well.
  const scored = stage === 'raw' || stage === 'capped' ? null : lengthsK;
  return {
    Y: Q.shape.length === 4 ? byHead(y, heads) : y,
    present_key: key,
    present_value: value,
    qk_matmul_output: attentionWeights(q, k, { ...options, lengthsK: scored, stage }),
  };
}

/** For outputs up to 1, by the case's type, in which the reference rounds every step. */
const TOLERANCE: Readonly<Record<string, number>> = { float32: 3e-6, float16: 4e-3, bfloat16: 3e-2 };

it.each(cases.map((each) => [each.name, each] as const))('%s', async (_, each) => {
  for (const isa of isas) {
    const outputs = run(await deviceFor(isa, 1), each);
    for (const [name, expected] of Object.entries(each.outputs)) {
      const { shape } = outputs[name]!;
      expect(shape, name).toEqual(expected.shape);
      const values = decode(expected) as Float32Array;
      const allowed = (i: number) => TOLERANCE[expected.type]! * Math.max(1, Math.abs(values[i]!));
      const [finite, actual] = [values, (await outputs[name]!.data()) as Float32Array];
      const hidden = (x: number) => x === Number.NEGATIVE_INFINITY;
      expect([...actual].map(hidden), `${name}: what is hidden`).toEqual([...finite].map(hidden));
      const visible = [...values.keys()].filter((i) => !hidden(values[i]!));
      assertClose(
        `${name} on ${isa}`,
        visible.map((i) => actual[i]!),
        visible.map((i) => values[i]!),
        (at) => allowed(visible[at]!),
      );
    }
  }
});

it('are all of Attention 23, 24 and 25', () => expect(cases).toHaveLength(93));
