// Finds a model's weights in the graph of an ONNX file, by their names in the state dict. Exporters keep the names of
// embeddings, norms and biases. They drop the name of a matrix that they transpose. That name follows from the node
// that multiplies with the matrix, or from the bias that is added to the product.

import { FormatError } from '../../core/errors.js';
import type { ByteSource } from '../../io/byte-source.js';
import { quote } from '../../io/dtypes.js';
import { type OnnxGraph, type OnnxNode, type OnnxTensor, tensorBytes } from '../../io/onnx.js';
import { SafetensorsEntry } from '../../io/safetensors.js';
import type { StoredBlocks, WeightEntry } from '../../models/weight-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { ComputedWeight } from '../computed-weight.js';
import { symmetricBlocks } from '../quantized/kept-blocks.js';
import { dequantized, elementsOf, type NBits, type Spread, unpackNBits } from './values.js';

/** Returns the file that holds the data of a tensor. */
export type BesideOf = (tensor: OnnxTensor) => ByteSource | undefined;

/** The weights of a graph: those with a name, and those whose names are lost. */
export interface GraphWeights {
  readonly named: ReadonlyMap<string, WeightEntry>;
  readonly unnamed: readonly WeightEntry[];
}

export function graphWeights(graph: OnnxGraph, besideOf: BesideOf): GraphWeights {
  return new WeightFinder(graph, besideOf).find();
}

/** Dtypes of weights that are not quantized. */
const FLOATS = ['F32', 'F16', 'BF16', 'F64'];

const INTEGERS = ['I8', 'U8'];

/** True for a name that an exporter made up, and for the name of an intermediate value. */
const isMadeUp = (name: string) => /^(onnx::|\/|val_\d|\d)/.test(name);

/** A name of the state dict. Suffixes that come from merging two decoders, or from transposing, are removed. */
const stateName = (name: string) => name.replace(/(_merged_\d+|_transposed)$/i, '');

/** Suffix of quantized integers. Their scale and zero point have the same stem with `_scale` and `_zero_point`. */
const QUANTIZED = '_quantized';

class WeightFinder {
  /** Weights by the names of values in the graph. */
  readonly #values = new Map<string, WeightEntry>();
  /** Integers that a Cast widens to floats, by the names of the floats. */
  readonly #integers = new Map<string, OnnxTensor>();
  readonly #consumers = new Map<string, OnnxNode[]>();
  readonly #named = new Map<string, WeightEntry>();
  readonly #used = new Set<WeightEntry>();

  constructor(
    private readonly graph: OnnxGraph,
    private readonly besideOf: BesideOf,
  ) {}

  find(): GraphWeights {
    for (const tensor of this.graph.tensors.values()) this.#addTensor(tensor);
    for (const node of this.graph.nodes) {
      for (const input of node.inputs) this.#consumers.set(input, [...(this.#consumers.get(input) ?? []), node]);
      this.#addResult(node);
    }
    for (const [name, weight] of this.#values)
      if (!isMadeUp(name) && this.#isStored(name))
        this.#name(stateName(name), /_transposed$/i.test(name) ? transposed(weight) : weight, weight);
    for (const node of this.graph.nodes) this.#addProduct(node);
    const unnamed = [...new Set(this.#values.values())].filter((weight) => weight.size > 1 && !this.#used.has(weight));
    return { named: this.#named, unnamed };
  }

  /** True for names of initializers, and of values that are computed under the name of a weight. */
  #isStored(name: string): boolean {
    if (/\.(weight|bias)$/.test(name)) return true;
    const { tensors } = this.graph;
    const tensor = tensors.get(name) ?? tensors.get(name + QUANTIZED);
    return tensor !== undefined && !tensor.isConstant;
  }

  #name(name: string, weight: WeightEntry, value: WeightEntry): void {
    if (!this.#named.has(name)) this.#named.set(name, weight);
    this.#used.add(value);
  }

  #addTensor(tensor: OnnxTensor): void {
    const { name, dtype } = tensor;
    const scaled = /^(.*)_(scale|zero_point)$/.exec(name)?.[1];
    const isOfAnother = scaled !== undefined && this.graph.tensors.has(scaled + QUANTIZED);
    if (isOfAnother || /_(scales|zero_points)$/.test(name)) return;
    if (name.endsWith(QUANTIZED)) {
      const base = name.slice(0, -QUANTIZED.length);
      const [scale, zero] = [this.graph.tensors.get(`${base}_scale`), this.graph.tensors.get(`${base}_zero_point`)];
      // MatMulInteger has one scale per column, so scales belong to the last axis.
      if (scale)
        this.#values.set(base, this.#dequantized(tensor, scale, zero, { axis: tensor.shape.length - 1, block: 0 }));
      return;
    }
    if (FLOATS.includes(dtype)) this.#values.set(name, this.#stored(tensor));
  }

  #stored(tensor: OnnxTensor): WeightEntry {
    const { name, dtype, shape, byteLength, position, source } = tensor;
    const file = 'file' in source ? (this.besideOf(tensor) as ByteSource) : source;
    return new SafetensorsEntry(name, dtype as SafetensorsEntry['dtype'], shape, byteLength, file, position);
  }

  #dequantized(q: OnnxTensor, scale: OnnxTensor, zero: OnnxTensor | undefined, spread: Spread): WeightEntry {
    return new ComputedWeight(q.shape, async () => {
      const [numbers, scales] = [await this.#elements(q), await this.#elements(scale)];
      const zeros = zero === undefined ? null : await this.#elements(zero);
      return dequantized(q.name, q.shape, numbers, scales, zeros, spread);
    });
  }

  /** Adds integers that a Cast widens and a Mul scales: by one scale, or by one per row or column. */
  #addScaled(output: string, [a = '', b = '']: readonly string[]): void {
    const [q, by] = this.#integers.has(a) ? [this.#integers.get(a), b] : [this.#integers.get(b), a];
    const scale = this.graph.tensors.get(by);
    if (q === undefined || scale === undefined || !FLOATS.includes(scale.dtype)) return;
    const [axis, ...others] = [...Array(q.shape.length).keys()].filter(
      (each) => (scale.shape.at(each - q.shape.length) ?? 1) > 1,
    );
    if (others.length > 0) return;
    this.#values.set(output, this.#dequantized(q, scale, undefined, { axis: axis ?? 0, block: 0 }));
    this.#values.delete(by);
  }

  #elements(tensor: OnnxTensor) {
    return elementsOf(tensor, this.besideOf(tensor));
  }

  /** Adds values that a node computes from weights alone, by scaling integers or by widening them. */
  #addResult(node: OnnxNode): void {
    const [output] = node.outputs;
    const [first = '', scale = '', zero = ''] = node.inputs;
    const tensors = this.graph.tensors;
    if (output === undefined || this.#values.has(output)) return;
    const weight = this.#values.get(first);
    const [q, by] = [tensors.get(first), tensors.get(scale)];
    if (node.op === 'DequantizeLinear' && q !== undefined && by !== undefined) {
      const given = node.attributes.get('axis') ?? 1;
      const spread = {
        axis: given < 0 ? given + q.shape.length : given,
        block: node.attributes.get('block_size') ?? 0,
      };
      this.#values.set(output, this.#dequantized(q, by, tensors.get(zero), spread));
    } else if (weight !== undefined && (node.op === 'Cast' || node.op === 'Identity')) this.#values.set(output, weight);
    else if (node.op === 'Cast' && q !== undefined && INTEGERS.includes(q.dtype)) this.#integers.set(output, q);
    else if (node.op === 'Mul') this.#addScaled(output, node.inputs);
    // A named table that is transposed is the tied output layer of a language model. It needs no second entry.
  }

  /** Gives the matrix of a product its name. */
  #addProduct(node: OnnxNode): void {
    const { op, attributes } = node;
    const input = node.inputs[1] ?? '';
    if (op === 'MatMulNBits') this.#addNBits(node);
    if (!/^(MatMul|MatMulInteger|FusedMatMul|Gemm)$/.test(op)) return;
    const weight = this.#values.get(input.endsWith(QUANTIZED) ? input.slice(0, -QUANTIZED.length) : input);
    const name = this.#moduleOf(node);
    if (weight === undefined || this.#used.has(weight) || weight.shape.length !== 2 || name === null) return;
    const isOutIn = attributes.get('transB') === 1;
    this.#name(`${name}.weight`, isOutIn ? weight : transposed(weight), weight);
  }

  #addNBits(node: OnnxNode): void {
    const [, b, scale, zero, order] = node.inputs;
    const [packed, scales] = [this.graph.tensors.get(b ?? ''), this.graph.tensors.get(scale ?? '')];
    const zeros = this.graph.tensors.get(zero ?? '');
    if (packed === undefined || scales === undefined) return;
    const sizes = {
      rows: node.attributes.get('N') ?? 0,
      columns: node.attributes.get('K') ?? 0,
      block: node.attributes.get('block_size') ?? 0,
      bits: node.attributes.get('bits') ?? 4,
    };
    const isRight = sizes.rows > 0 && sizes.columns > 0 && sizes.block >= 8 && [2, 4, 8].includes(sizes.bits);
    if (!isRight || order)
      throw new FormatError(
        `node ${quote(node.name)} is MatMulNBits of ${JSON.stringify(sizes)}${order ? ' with g_idx' : ''}, which is not read`,
      );
    const values = async () => {
      const bytes = await tensorBytes(packed, this.besideOf(packed));
      const own = zeros === undefined ? null : await this.#zeros(zeros);
      return unpackNBits(packed.name, sizes, bytes, await this.#elements(scales), own);
    };
    const isKept = zeros === undefined && scales.dtype === 'F16';
    const kept = isKept ? this.#keptNBits(sizes, packed, scales) : undefined;
    const weight = new ComputedWeight([sizes.rows, sizes.columns], values, kept);
    const name = this.#moduleOf(node) ?? (isMadeUp(packed.name) ? null : packed.name.replace(/\.weight_Q\d$/, ''));
    if (name !== null) this.#name(`${name}.weight`, weight, weight);
  }

  /** The blocks of a matrix without zero points. Undefined if its rows or groups do not consist of whole blocks. */
  #keptNBits({ rows, columns, block, bits }: NBits, packed: OnnxTensor, scales: OnnxTensor): StoredBlocks | undefined {
    const groups = Math.ceil(columns / block);
    const rowBytes = (groups * block * bits) / 8;
    if (columns % block !== 0 || packed.byteLength !== rows * rowBytes || scales.byteLength !== 2 * rows * groups)
      return undefined;
    return symmetricBlocks([rows, columns], bits, groups, async () => {
      const bytes = await tensorBytes(packed, this.besideOf(packed));
      const own = await tensorBytes(scales, this.besideOf(scales));
      const mask = 2 ** bits - 1;
      return {
        code: (row, input) =>
          ((bytes[row * rowBytes + ((input * bits) >> 3)] as number) >> ((input * bits) & 7)) & mask,
        scale: (row, group) => {
          const at = 2 * (row * groups + group);
          return (own[at] as number) | ((own[at + 1] as number) << 8);
        },
      };
    });
  }

  async #zeros(zeros: OnnxTensor) {
    return zeros.dtype === 'U8'
      ? { packed: await tensorBytes(zeros, this.besideOf(zeros)) }
      : { values: await this.#elements(zeros) };
  }

  /** The path of the module that a node computes, or null if the graph does not tell. */
  #moduleOf(node: OnnxNode): string | null {
    const bias = this.#biasAfter(node);
    if (bias !== null) return stateName(bias).replace(/\.bias$/, '');
    if (!node.name.startsWith('/')) return null;
    const path = node.name.slice(1).split('/').slice(0, -1);
    return path.length === 0 ? null : path.join('.');
  }

  /** The name of the bias that is added to a node's output. Quantized products are scaled before that. */
  #biasAfter(node: OnnxNode): string | null {
    let [output] = node.outputs;
    for (let steps = 0; steps < 3; steps++) {
      const [next, ...others] = this.#consumers.get(output ?? '') ?? [];
      if (next === undefined || others.length > 0) return null;
      if (next.op === 'Add')
        return next.inputs.find((input) => /\.bias(_merged_\d+)?$/.test(input) && !isMadeUp(input)) ?? null;
      if (next.op !== 'Cast' && next.op !== 'Mul') return null;
      [output] = next.outputs;
    }
    return null;
  }
}

/** The transpose of a matrix. */
function transposed(weight: WeightEntry): WeightEntry {
  return new ComputedWeight([...weight.shape].reverse(), async () =>
    transpose((await weight.data()) as Float32Array, weight.shape),
  );
}
