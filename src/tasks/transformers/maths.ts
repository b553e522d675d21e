// Functions on numbers and tensors by the names of transformers.js.

import { describeValue } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { HostTensor } from '../host-tensor.js';
import { softmax as softmaxOf } from '../scores.js';

/** An array or a typed array of numbers. */
export type NumberList = ArrayLike<number>;

function checkNumbers(op: string, name: string, value: NumberList): void {
  if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) return;
  const hint = (value as unknown) instanceof HostTensor ? ': pass its data' : '';
  throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected an array of numbers${hint}`);
}

function checkLengths(op: string, a: NumberList, b: NumberList): void {
  checkNumbers(op, 'a', a);
  checkNumbers(op, 'b', b);
  if (a.length !== b.length) throw new ShapeError(`${op}: the vectors have ${a.length} and ${b.length} numbers`);
}

/** The sum of products. Throws ShapeError for vectors of different lengths, ArgumentError for other values. */
export function dot(a: NumberList, b: NumberList): number {
  checkLengths('dot', a, b);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** The cosine of the angle between two vectors; 0 if one of them is zero. Throws as `dot`. */
export function cos_sim(a: NumberList, b: NumberList): number {
  checkLengths('cos_sim', a, b);
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}

/** Probabilities that add up to 1. Throws ArgumentError for a value that is not an array of numbers. */
export function softmax(logits: NumberList): number[] {
  checkNumbers('softmax', 'logits', logits);
  return softmaxOf(logits);
}

/** Logarithms of the probabilities. Throws as `softmax`. */
export function log_softmax(logits: NumberList): number[] {
  checkNumbers('log_softmax', 'logits', logits);
  const max = Array.from(logits).reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sum = Array.from(logits).reduce((total, x) => total + Math.exp(x - max), 0);
  return Array.from(logits, (x) => x - max - Math.log(sum));
}

/**
 * The mean of the vectors of tokens, without padding. `last_hidden_state` is [B, T, d], `attention_mask` [B, T]; the
 * result is [B, d], zero for a row without tokens. Throws ShapeError, and ArgumentError for values that are not
 * tensors.
 */
export function mean_pooling(last_hidden_state: HostTensor, attention_mask: HostTensor<BigInt64Array>): HostTensor {
  for (const [name, value] of Object.entries({ last_hidden_state, attention_mask }))
    if (!(value instanceof HostTensor))
      throw new ArgumentError(
        `mean_pooling: ${name} is ${describeValue(value)}, expected a tensor of a model or tokenizer`,
      );
  const [rows = 0, tokens = 0, features = 0] = last_hidden_state.dims;
  if (last_hidden_state.dims.length !== 3 || `${attention_mask.dims}` !== `${[rows, tokens]}`)
    throw new ShapeError(
      `mean_pooling: last_hidden_state is [${last_hidden_state.dims}] and attention_mask [${attention_mask.dims}], expected [B, T, d] and [B, T]`,
    );
  const means = new Float32Array(rows * features);
  for (let row = 0; row < rows; row++) {
    const mask = attention_mask.data.subarray(row * tokens, (row + 1) * tokens);
    const count = mask.reduce((sum, bit) => sum + Number(bit), 0);
    for (let i = 0; i < features; i++) {
      let sum = 0;
      for (let t = 0; t < tokens; t++)
        if (mask[t]) sum += last_hidden_state.data[(row * tokens + t) * features + i] as number;
      means[row * features + i] = count === 0 ? 0 : sum / count;
    }
  }
  return new HostTensor(means, [rows, features]);
}
