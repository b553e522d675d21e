// Finds a model's weights in the graph of an ONNX file, by their names in the state dict. Exporters keep the names of
// embeddings, norms and biases. They drop the name of a matrix that they transpose. That name follows from the node
// that multiplies with the matrix, or from the bias that is added to the product.

import type { ByteSource } from '../../io/byte-source.js';
import { type OnnxGraph, type OnnxNode, type OnnxTensor, tensorBytes } from '../../io/onnx.js';
import { SafetensorsEntry } from '../../io/safetensors.js';
import type { UnnamedWeight, WeightEntry } from '../../models/weight-entry.js';
import { transposed as computedTranspose } from '../computed-weight.js';
import { EMBEDDINGS, OUTPUT } from '../own-output.js';
import { attentionRoles } from './attention-role.js';
import { BLOCK_TABLE, type BlockTensors, type BlockWeight, blockMatrix, blockTable } from './block-nodes.js';
import { isBuilderName } from './builder-names.js';
import { type FoldedWeights, foldedWeights, modulePath } from './folded.js';
import { packedIntegers, TransposableWeight } from './integers.js';
import { COPY_OF_BIAS, otherValues, QUANTIZED } from './other-values.js';
import { outputProduct, PRODUCT } from './output-product.js';
import { dequantized, elementsOf, type ScaleGranularity, sizeOf } from './values.js';
import { isGeneratedName, OF_QUANTIZER, stateName } from './weight-naming.js';

/** Returns the file that has the data of a tensor. */
export type DataFileOf = (tensor: OnnxTensor) => ByteSource | undefined;

/** Heads of queries, and of keys and values. */
export interface HeadCounts {
  readonly queries: number;
  readonly keys: number;
}

/** Weights of a graph: those with names, and folded ones. */
export interface GraphWeights {
  readonly named: ReadonlyMap<string, WeightEntry>;
  readonly unnamed: readonly Omit<UnnamedWeight, 'file'>[];
  /** The token table, if the file gives it the name of an output that has a matrix of its own. */
  readonly table: WeightEntry | null;
  /** The matrix of the output, if the file has no name for it. */
  readonly output: WeightEntry | null;
  /** Constants that an exporter has folded. */
  readonly folded: FoldedWeights;
  /** True for a graph of the model builder. Its norms hold 1 + weight for families such as Gemma. */
  readonly isBuilt: boolean;
  /** The heads of attention modules, by the path of a module. */
  readonly heads: ReadonlyMap<string, HeadCounts>;
  /** Texts of warnings: rounded values that the model does not use. */
  readonly notes: readonly string[];
}

/** Finds the weights of a graph. Zero points are read, because the packed format depends on them. */
export function graphWeights(graph: OnnxGraph, dataFileOf: DataFileOf): Promise<GraphWeights> {
  return new WeightFinder(graph, dataFileOf).find();
}

/** Dtypes of weights that are not quantized. */
const FLOATS = ['F32', 'F16', 'BF16', 'F64'];

const INTEGERS = ['I8', 'U8'];

/** Names of matrices that the model builder transposed for a product. The node that multiplies names them. */
const OF_PRODUCT = /\.MatMul\.weight$/;

/** Inputs of operators that describe quantized weights: scales, zero points and orders. */
const DESCRIPTIONS: Readonly<Record<string, readonly number[]>> = {
  DequantizeLinear: [1, 2],
  MatMulNBits: [2, 3, 4],
  MatMulBnb4: [2],
  GatherBlockQuantized: [2, 3],
};

/** Operators that add a bias, with the index of that input. */
const BIASED: Readonly<Record<string, number>> = {
  BiasGelu: 1,
  FastGelu: 1,
  SkipLayerNormalization: 4,
  SkipSimplifiedLayerNormalization: 3,
};

/** Zero points that are read at once. */
const MAX_ZEROS = 1 << 20;

/** Operators between a quantized product and its bias. */
const SCALERS = ['Cast', 'Mul', 'QuantizeLinear', 'DequantizeLinear'];

const withoutDequantizer = (name: string) => name.replace(/_DequantizeLinear_Output$/, '');

class WeightFinder {
  /** Weights by the names of values in the graph. */
  readonly #values = new Map<string, WeightEntry>();
  /** Integers that a Cast widens to floats, by the names of the floats. */
  readonly #integers = new Map<string, OnnxTensor>();
  readonly #consumers = new Map<string, OnnxNode[]>();
  readonly #producers = new Map<string, OnnxNode>();
  readonly #named = new Map<string, WeightEntry>();
  /** Names of weights in `#named` that are stored as floats. */
  readonly #floats = new Set<string>();
  /** Names of weights that the file has as integers, too. */
  readonly #roundedFloats = new Set<string>();
  readonly #used = new Set<WeightEntry>();
  /** Nodes of DequantizeLinear, by the names of the integers. */
  readonly #dequantizers = new Map<string, OnnxNode>();
  /** Names of scales, zero points and orders. */
  readonly #descriptions = new Set<string>();
  /** Names of zero points that are all the middle of their integers. */
  readonly #middleZeros = new Set<string>();
  /** Tensors that a node gives another shape. */
  readonly #reshaped = new Map<string, OnnxTensor>();
  /** Names of tables that have the name of a tied output. */
  readonly #tables = new Set<string>();
  #table: WeightEntry | null = null;
  #output: WeightEntry | null = null;
  /** The node of the output's product, and the name of its matrix. */
  #outputNode: { readonly node: OnnxNode; readonly name: string | null } | null = null;
  /** Products of unknown modules by the names of their matrices. */
  readonly #unknown = new Map<string, { readonly node: OnnxNode; readonly weight: WeightEntry; value: WeightEntry }>();
  readonly #heads = new Map<string, HeadCounts>();
  readonly #isBuilt: boolean;
  /** The tensors, for nodes that read blocks. */
  readonly #blockTensors: BlockTensors = {
    tensor: (name) => this.graph.tensors.get(name),
    reshaped: (name) => this.#reshaped.get(name),
    bytes: (tensor) => tensorBytes(tensor, this.dataFileOf(tensor)),
    elements: (tensor) => this.#elements(tensor),
    dequantized: (...of) => this.#dequantized(...of),
  };

  constructor(
    private readonly graph: OnnxGraph,
    private readonly dataFileOf: DataFileOf,
  ) {
    this.#isBuilt = [...graph.tensors.keys()].some(isBuilderName);
  }

  async find(): Promise<GraphWeights> {
    for (const node of this.graph.nodes) {
      const { op, inputs } = node;
      for (const index of DESCRIPTIONS[op] ?? []) this.#descriptions.add(inputs[index] ?? '');
      if (op === 'DequantizeLinear') this.#dequantizers.set(inputs[0] ?? '', node);
    }
    for (const tensor of this.graph.tensors.values()) await this.#recordMiddleZeros(tensor);
    for (const tensor of this.graph.tensors.values()) this.#addTensor(tensor);
    for (const node of this.graph.nodes) {
      this.#connect(node);
      this.#addResult(node);
    }
    const blockTables = this.graph.nodes.filter(({ op }) => op === BLOCK_TABLE);
    for (const node of blockTables) this.#addBlockTable(node);
    for (const node of this.graph.nodes) this.#addTable(node);
    for (const [name, weight] of this.#values)
      if (!isGeneratedName(name) && this.#isStored(name) && !this.#tables.has(name))
        this.#name(this.#stateName(name), /_transposed$/i.test(name) ? transposed(weight) : weight, weight);
    for (const node of this.graph.nodes) this.#addProduct(node);
    const folded = foldedWeights(this.graph.nodes, {
      constant: (input) => this.#constant(input),
      consumers: (output) => this.#consumers.get(output) ?? [],
      producer: (output) => this.#producers.get(output),
      moduleOf: (node) => this.#moduleOf(node),
    });
    return {
      named: this.#named,
      unnamed: [...this.#unnamed()],
      table: this.#table,
      output: this.#output,
      folded,
      isBuilt: this.#isBuilt,
      heads: this.#heads,
      notes: await otherValues(this.graph, this.#dequantizers, this.#roundedFloats, (tensor) => this.#elements(tensor)),
    };
  }

  #connect(node: OnnxNode): void {
    for (const input of node.inputs) this.#consumers.set(input, [...(this.#consumers.get(input) ?? []), node]);
    for (const output of node.outputs) this.#producers.set(output, node);
  }

  /** Weights without a name. Matrices of products are [out, in]. */
  *#unnamed(): Generator<Omit<UnnamedWeight, 'file'>> {
    const seen = new Set(this.#used);
    const isStored = (input: string) => this.#matrixOf(input) !== undefined;
    const view = { consumers: (output: string) => this.#consumers.get(output) ?? [], isStored };
    for (const [name, { node, weight, value }] of this.#unknown)
      if (!seen.has(value)) {
        seen.add(value);
        yield { name, entry: weight, roles: attentionRoles(node, view) };
      }
    for (const [name, entry] of this.#values)
      if (entry.size > 1 && !seen.has(entry)) {
        seen.add(entry);
        yield { name, entry, roles: new Set() };
      }
  }

  /** Records tensors whose zero points are all the middle of their integers: 0 of int8, 128 of uint8. */
  async #recordMiddleZeros(tensor: OnnxTensor): Promise<void> {
    const { name, dtype, byteLength } = tensor;
    const isZero = this.#descriptions.has(name) || name.endsWith('_zero_point');
    if (!isZero || !INTEGERS.includes(dtype) || byteLength > MAX_ZEROS) return;
    const middle = dtype === 'U8' ? 128 : 0;
    if ((await this.#elements(tensor)).every((zero) => zero === middle)) this.#middleZeros.add(name);
  }

  /**
   * True for names of initializers, and of values that are computed under the name of a weight. Quantizers copy a bias
   * for each product.
   */
  #isStored(name: string): boolean {
    if (OF_PRODUCT.test(name) || this.#values.has(COPY_OF_BIAS.exec(name)?.[1] ?? '')) return false;
    if (/\.(weight|bias)$/.test(name)) return true;
    const { tensors } = this.graph;
    const tensor = tensors.get(name) ?? tensors.get(name + QUANTIZED);
    return tensor !== undefined && !tensor.isConstant;
  }

  /**
   * Names a weight. Quantizers of ONNX Runtime quantize only the first product of a layer that is used several times.
   * The floats of the other products are more exact than the integers.
   */
  #name(name: string, weight: WeightEntry, value: WeightEntry): void {
    const isFloat = value instanceof SafetensorsEntry;
    const isMoreExact = isFloat && !this.#floats.has(name);
    if (this.#named.has(name) && isFloat !== this.#floats.has(name)) this.#roundedFloats.add(name);
    if (isMoreExact || !this.#named.has(name)) this.#named.set(name, weight);
    if (isMoreExact) this.#floats.add(name);
    this.#used.add(value);
  }

  #addTensor(tensor: OnnxTensor): void {
    const { name, dtype } = tensor;
    if (this.#descriptions.has(name)) return;
    const scaled = /^(.*)_(scale|zero_point)$/.exec(name)?.[1];
    const isOfOther = scaled !== undefined && this.graph.tensors.has(scaled + QUANTIZED);
    if (isOfOther || /_(scales|zero_points)$/.test(name)) return;
    if (name.endsWith(QUANTIZED)) {
      const base = name.slice(0, -QUANTIZED.length);
      const [scale, zero] = [this.graph.tensors.get(`${base}_scale`), this.graph.tensors.get(`${base}_zero_point`)];
      // DequantizeLinear tells the axis of its scales. MatMulInteger has one scale per column.
      const reader = this.#dequantizers.get(name);
      const granularity = reader ? granularityOf(reader, tensor) : { axis: tensor.shape.length - 1, block: 0 };
      const hasFloats = FLOATS.includes(this.graph.tensors.get(base)?.dtype ?? '');
      if (hasFloats) this.#roundedFloats.add(base);
      else if (scale) this.#values.set(base, this.#dequantized(tensor, scale, zero, granularity));
      return;
    }
    if (FLOATS.includes(dtype)) this.#values.set(name, this.#stored(tensor));
  }

  #stored(tensor: OnnxTensor): WeightEntry {
    const { name, dtype, shape, byteLength, position, source } = tensor;
    const file = 'file' in source ? (this.dataFileOf(tensor) as ByteSource) : source;
    return new SafetensorsEntry(name, dtype as SafetensorsEntry['dtype'], shape, byteLength, file, position);
  }

  #dequantized(
    q: OnnxTensor,
    scale: OnnxTensor,
    zero: OnnxTensor | undefined,
    granularity: ScaleGranularity,
  ): WeightEntry {
    const { name, shape } = q;
    const load = async () => {
      const [numbers, scales] = [await this.#elements(q), await this.#elements(scale)];
      return { numbers, scales, zeros: zero === undefined ? null : await this.#elements(zero) };
    };
    const values = async () => dequantized(name, shape, await load(), granularity);
    const isMiddle = zero === undefined ? !q.dtype.startsWith('U') : this.#middleZeros.has(zero.name);
    const quantized = {
      ...q,
      isHalf: scale.dtype === 'F16',
      isMiddle,
      isSingle: sizeOf(scale) === 1,
      granularity,
      load,
    };
    return new TransposableWeight(shape, values, packedIntegers(quantized, 0), packedIntegers(quantized, 1));
  }

  /** Adds integers that a Cast widens and a Mul scales: by one scale, or by one per row or column. */
  #addScaled(output: string, [a = '', b = '']: readonly string[]): void {
    const [q, by] = this.#integers.has(a) ? [this.#integers.get(a), b] : [this.#integers.get(b), a];
    const scale = this.graph.tensors.get(by);
    if (q === undefined || scale === undefined || !FLOATS.includes(scale.dtype)) return;
    const [axis, ...otherAxes] = [...Array(q.shape.length).keys()].filter(
      (axisIndex) => (scale.shape.at(axisIndex - q.shape.length) ?? 1) > 1,
    );
    if (otherAxes.length > 0) return;
    this.#values.set(output, this.#dequantized(q, scale, undefined, { axis: axis ?? 0, block: 0 }));
    this.#values.delete(by);
  }

  #elements(tensor: OnnxTensor) {
    return elementsOf(tensor, this.dataFileOf(tensor));
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
      const known = first.endsWith(QUANTIZED) ? this.#values.get(first.slice(0, -QUANTIZED.length)) : undefined;
      this.#values.set(output, known ?? this.#dequantized(q, by, tensors.get(zero), granularityOf(node, q)));
    } else if (weight !== undefined && (node.op === 'Cast' || node.op === 'Identity')) this.#values.set(output, weight);
    else if (node.op === 'Cast' && q !== undefined && INTEGERS.includes(q.dtype)) this.#integers.set(output, q);
    else if (node.op === 'Mul') this.#addScaled(output, node.inputs);
    else if (node.op === 'Transpose' && weight instanceof TransposableWeight && isGeneratedName(first)) {
      this.#values.set(output, weight.transposed());
      this.#used.add(weight);
    } else if (node.op === 'Reshape' && q !== undefined) {
      this.#reshaped.set(output, q);
      // Quantized convolutions add their bias, which is reshaped before.
      if (weight !== undefined && isGeneratedName(first)) this.#values.set(output, weight);
    }
  }

  /**
   * Names a table of embeddings that has the name of a tied output: by the module that reads it. Finds the output's own
   * product, if its matrix has lost its name. A named table that is transposed is the tied output of a language model.
   */
  #addTable({ op, name, inputs: [table = ''] }: OnnxNode): void {
    const stored = table.replace(OF_QUANTIZER, '');
    const [weight, path] = [this.#values.get(stored), modulePath(name)];
    if ((op !== 'Gather' && op !== BLOCK_TABLE) || weight === undefined) return;
    const isOutput = OUTPUT.test(stored);
    if (!isOutput && !EMBEDDINGS.some((regex) => regex.test(stored))) return;
    const output = isOutput ? this.#stateName(stored).replace(/\.weight$/, '') : null;
    const product = outputProduct(this.graph.nodes, weight.shape, output, {
      shapeOf: (input) => this.#matrixOf(input)?.shape,
      moduleOf: (candidate) => this.#moduleOf(candidate),
      isGeneratedName,
    });
    if (product !== null) this.#outputNode = { node: product, name: isOutput ? this.#stateName(stored) : null };
    if (!isOutput || (path === null && product === null)) return;
    this.#tables.add(stored);
    if (path !== null) this.#name(`${this.#stateName(`${path}.`)}weight`, weight, weight);
    else this.#table = weight;
    this.#used.add(weight);
  }

  /** Returns the weight that a product reads. */
  #matrixOf(input: string): WeightEntry | undefined {
    return this.#values.get(input.endsWith(QUANTIZED) ? input.slice(0, -QUANTIZED.length) : input);
  }

  /** Names the matrix of a product. */
  #addProduct(node: OnnxNode): void {
    const { op, attributes } = node;
    const input = node.inputs[1] ?? '';
    const blocks = blockMatrix(node, this.#blockTensors);
    if (blocks !== null) this.#addLinear(node, blocks);
    if (op === 'GroupQueryAttention') this.#addHeads(node);
    if (!PRODUCT.test(op)) return;
    const weight = this.#matrixOf(input);
    const name = this.#moduleOf(node);
    // Equal weights of several modules are one initializer.
    const isOfOther = weight !== undefined && this.#used.has(weight) && !isGeneratedName(input);
    if (weight === undefined || isOfOther || weight.shape.length !== 2) return;
    // Exporters compute embeddings of positions by products with a row of frequencies.
    if (weight.shape.includes(1) && isGeneratedName(input) && this.#biasAfter(node) === null) return;
    const rows = attributes.get('transB') === 1 ? weight : transposed(weight);
    if (name === null) this.#addOutput(node, rows, weight);
    else this.#name(`${name}.weight`, rows, weight);
  }

  /** Names the matrix [out, in] of a product of an unknown module, if it is that of the output. */
  #addOutput(node: OnnxNode, weight: WeightEntry, value: WeightEntry): void {
    if (this.#outputNode?.node !== node) {
      const input = node.inputs[1]?.replace(OF_QUANTIZER, '') ?? '';
      if (isGeneratedName(input) && !this.#unknown.has(input)) this.#unknown.set(input, { node, weight, value });
      return;
    }
    const { name } = this.#outputNode;
    if (name === null) this.#output = weight;
    else this.#name(name, weight, value);
    this.#used.add(value);
  }

  /** Returns the unused value of an input whose name was generated. */
  #constant(input: string): WeightEntry | null {
    const value = this.#matrixOf(input);
    return isGeneratedName(input) && value && !this.#used.has(value) ? value : null;
  }

  /** Names the matrix [out, in] of a product. `fileName`: the name of its codes. */
  #addLinear(node: OnnxNode, { name: fileName, weight }: BlockWeight): void {
    const stored = isGeneratedName(fileName) ? null : fileName.replace(/_(Q\d|Bnb4)$/, '');
    const name = this.#moduleOf(node) ?? stored?.replace(/\.weight$/, '') ?? null;
    // A parameter that is not a weight of a module, such as SAM's directions, is multiplied as it is: [in, out].
    if (stored !== null && stored !== fileName && !stored.endsWith('.weight'))
      this.#name(this.#stateName(stored), transposed(weight), weight);
    else if (name !== null) this.#name(`${name}.weight`, weight, weight);
    else this.#addOutput(node, weight, weight);
  }

  /** Adds a token table whose rows are quantized in blocks. */
  #addBlockTable(node: OnnxNode): void {
    const found = blockTable(node, this.#blockTensors);
    if (found === null) return;
    const name = this.#moduleOf(node);
    if (name !== null) this.#name(`${name}.weight`, found.weight, found.weight);
    else if (!isGeneratedName(found.name)) this.#values.set(found.name.replace(OF_QUANTIZER, ''), found.weight);
  }

  #addHeads(node: OnnxNode): void {
    const queries = node.attributes.get('num_heads') ?? 0;
    const keys = node.attributes.get('kv_num_heads') ?? queries;
    const path = this.#moduleOf(node);
    if (path !== null && queries > 0 && keys > 0) this.#heads.set(path, { queries, keys });
  }

  #stateName(initializerName: string): string {
    return stateName(initializerName, this.#isBuilt);
  }

  /** Returns the path of the module that a node computes; null if the graph does not tell. */
  #moduleOf(node: OnnxNode): string | null {
    const path = modulePath(node.name) ?? this.#parameterModule(node);
    const ofPath = path === null ? null : this.#stateName(`${path}.`).slice(0, -1);
    const bias = this.#biasAfter(node);
    const ofBias = bias === null ? null : this.#stateName(bias).replace(/\.bias$/, '');
    // The bias of masked language models belongs to the module around the product.
    return ofBias === null || ofPath?.startsWith(`${ofBias}.`) ? ofPath : ofBias;
  }

  /**
   * Quantizers and optimizers drop the metadata of products. Returns the module of the weight from which the matrix was
   * computed, or that of the bias.
   */
  #parameterModule({ op, inputs: [, matrix = '', bias = ''] }: OnnxNode): string | null {
    const parameter = this.graph.foldedFrom?.get(matrix.replace(OF_QUANTIZER, ''));
    const ofWeight = /^(.+)\.weight$/.exec(parameter ?? '')?.[1];
    return ofWeight ?? /^(.+)\.bias$/.exec(op === 'Gemm' ? withoutDequantizer(bias) : '')?.[1] ?? null;
  }

  /** Returns the name of the bias that is added to a node's output. Quantized products are scaled before that. */
  #biasAfter(node: OnnxNode): string | null {
    let [output] = node.outputs;
    for (let steps = 0; steps < 3; steps++) {
      const [next, ...otherConsumers] = this.#consumers.get(output ?? '') ?? [];
      // Both branches of a merged decoder may have the node.
      if (
        next === undefined ||
        otherConsumers.some(({ op, inputs }) => op !== next.op || `${inputs}` !== `${next.inputs}`)
      )
        return null;
      if (next.op === 'Add')
        return (
          next.inputs
            .map(withoutDequantizer)
            .find((input) => /\.bias(_merged_\d+)?$/.test(input) && !isGeneratedName(input)) ?? null
        );
      const biasName = next.inputs[BIASED[next.op] ?? -1] ?? '';
      if (/\.bias$/.test(biasName) && !isGeneratedName(biasName)) return biasName;
      if (!SCALERS.includes(next.op)) return null;
      [output] = next.outputs;
    }
    return null;
  }
}

/** Returns the granularity of the scales of DequantizeLinear. */
function granularityOf({ attributes }: OnnxNode, { shape }: OnnxTensor): ScaleGranularity {
  const axis = attributes.get('axis') ?? 1;
  return { axis: axis < 0 ? axis + shape.length : axis, block: attributes.get('block_size') ?? 0 };
}

/** Transposes a matrix. */
const transposed = (weight: WeightEntry) =>
  weight instanceof TransposableWeight ? weight.transposed() : computedTranspose(weight);
