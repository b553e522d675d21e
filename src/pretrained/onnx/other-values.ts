// Tells which rounded values of a graph the model does not use, because it has more exact ones.

import type { OnnxGraph, OnnxNode, OnnxTensor } from '../../io/onnx.js';

/** Suffix of quantized integers. Their scale and zero point have the same stem with `_scale` and `_zero_point`. */
export const QUANTIZED = '_quantized';

/** Names of copies of a bias. Quantizers write one for each use, and add a number to its name. */
export const COPY_OF_BIAS = /^(.+\.bias)\d+$/;

/** Names of a rotary embedding's frequencies, as exporters of torch write them. */
const FREQUENCIES = /\b(rotary_emb|inv_freq)\b/;

const withoutQuantized = (name: string) => (name.endsWith(QUANTIZED) ? name.slice(0, -QUANTIZED.length) : name);

/**
 * Returns texts of warnings. `dequantizers`: nodes of DequantizeLinear by the names of the integers. `floats`: names of
 * weights that the file has as integers and as floats. `read` returns the elements of a tensor.
 */
export async function otherValues(
  { tensors }: OnnxGraph,
  dequantizers: ReadonlyMap<string, OnnxNode>,
  floats: ReadonlySet<string>,
  read: (tensor: OnnxTensor) => Promise<ArrayLike<number>>,
): Promise<string[]> {
  const rounded = new Map<string, OnnxNode>();
  for (const [name, node] of dequantizers) if (tensors.has(name)) rounded.set(withoutQuantized(name), node);
  const frequencies = [...rounded.keys()].filter((name) => FREQUENCIES.test(name));
  const biases = await differingBiases(rounded, async ({ inputs }) => {
    const parts = inputs.flatMap((input) => tensors.get(input) ?? []);
    return (await Promise.all(parts.map(read))).map((part) => Array.from(part).join()).join(';');
  });
  const texts = [
    [frequencies, 'is rounded to integers: the model has the exact frequencies of config.json'],
    [[...floats], 'has integers for one use and floats for another: the model has the floats for both'],
    [biases, 'is rounded differently for several uses: the model has the values of the first'],
  ] as const;
  return texts.flatMap(([names, text]) => (names.length === 0 ? [] : [`${some(names)} ${text}`]));
}

/** Returns the names of biases that have a copy with other values. */
async function differingBiases(
  rounded: ReadonlyMap<string, OnnxNode>,
  valuesOf: (dequantizer: OnnxNode) => Promise<string>,
): Promise<string[]> {
  const differing = new Set<string>();
  for (const [name, copy] of rounded) {
    const bias = COPY_OF_BIAS.exec(name)?.[1] ?? '';
    const first = rounded.get(bias);
    if (first !== undefined && (await valuesOf(copy)) !== (await valuesOf(first))) differing.add(bias);
  }
  return [...differing];
}

const some = ([first, ...others]: readonly string[]) =>
  others.length === 0 ? first : `${first} (like ${others.length} more)`;
