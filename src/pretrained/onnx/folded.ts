// Finds constants that an exporter or an optimizer has folded. They have lost the names of their parameters. The path
// of the node that reads a constant tells the module.

import type { OnnxNode } from '../../io/onnx.js';
import type { WeightEntry } from '../../models/weight-entry.js';
import { ComputedWeight, reshaped, transposed } from '../computed-weight.js';
import { distanceTable, type ModulesView } from './distance-tables.js';
import { namedTerms, type Term } from './folded-terms.js';

/** Folded constants by the names of their probable parameters, and constants that concatenate several parameters. */
export interface FoldedWeights {
  readonly single: ReadonlyMap<string, WeightEntry>;
  /** Projections of attention modules by path: the rows of queries, keys and values, concatenated. */
  readonly attention: ReadonlyMap<string, { readonly weight: WeightEntry | null; readonly bias: WeightEntry | null }>;
}

/** Access to the values of a graph, and to the nodes that read them. */
interface GraphView extends ModulesView {
  /** Returns the value of an input whose name was generated; null for other inputs. */
  constant(input: string): WeightEntry | null;
}

/** Returns the path of the module that a node computes, from the node's name; null if the name has none. */
export function modulePath(node: string): string | null {
  if (!node.startsWith('/')) return null;
  const scopes = node.slice(1).split('/').slice(0, -1);
  // A module of a list within a list repeats the name of the list: /layers/layers.0/.
  const leaves = scopes.filter((scope, i) => !scopes[i + 1]?.startsWith(`${scope}.`));
  return leaves.length === 0 ? null : leaves.join('.');
}

/**
 * Returns a node's index among the module's nodes with its operator. Quantizers reorder nodes, but keep their names.
 */
const orderOf = (node: string) => Number(/_(\d+)(_quant|_Q\d)*$/.exec(node)?.[1] ?? 0);

/** Finds the constants of a graph that modules read. */
export function foldedWeights(nodes: readonly OnnxNode[], view: GraphView): FoldedWeights {
  const finder = new FoldedFinder(view);
  for (const node of nodes) finder.add(node);
  return finder.finish();
}

class FoldedFinder implements FoldedWeights {
  readonly single = new Map<string, WeightEntry>();
  readonly attention = new Map<string, { weight: WeightEntry | null; bias: WeightEntry | null }>();

  /** Constants by which a node outside of modules multiplies, by the name of the product. */
  readonly #scales = new Map<string, WeightEntry>();
  /** Constants that the nodes of a module read, by the module's path. */
  readonly #terms = new Map<string, Term[]>();

  constructor(private readonly view: GraphView) {}

  add(node: OnnxNode): void {
    const { name, op, inputs, outputs } = node;
    const [output = ''] = outputs;
    const constants = inputs.map((input) => this.view.constant(input));
    const path = modulePath(name);
    const table = distanceTable(node, constants[0] ?? null, this.view);
    if (table !== null) this.single.set(table.name, table.weight);
    else if (op === 'Attention') this.#addAttention(output, constants[1], constants[2]);
    else if (op === 'MultiHeadAttention') this.#addAttention(output, null, constants[3]);
    else if (op === 'RelativePositionBias') this.#addPositions(output, constants[0]);
    else if (op === 'Exp' && path === null) this.#addLogitScale(output, constants[0]);
    else if (/SimplifiedLayerNormalization$/.test(op))
      this.#addTerm(modulePath(output), 'weight', constants[op.startsWith('Skip') ? 2 : 1]);
    else if (path === null && (op === 'Mul' || op === 'Add')) this.#addSimilarities(op, inputs, output, constants);
    else if (/^Conv/.test(op)) {
      this.#addTerm(path, 'weight', constants[1]);
      this.#addTerm(path, 'bias', constants[2]);
    } else {
      const [constant, ...otherConstants] = constants.filter((weight) => weight !== null && weight.size > 1);
      if (path !== null && constant && otherConstants.length === 0)
        this.#terms.set(path, [...(this.#terms.get(path) ?? []), { op, order: orderOf(name), weight: constant }]);
    }
  }

  /** Names the constants of all modules. */
  finish(): this {
    for (const [path, terms] of this.#terms) {
      const ordered = terms.toSorted((a, b) => a.order - b.order);
      for (const [suffix, weight] of namedTerms(ordered)) this.#addTerm(path, suffix, weight);
    }
    return this;
  }

  #addTerm(path: string | null, suffix: string, weight: WeightEntry | null | undefined): void {
    const name = `${path}.${suffix}`;
    if (path !== null && weight && weight.size > 1 && !this.single.has(name)) this.single.set(name, weight);
  }

  /** The optimizer of ONNX Runtime keeps the module's path in the name of the output. */
  #addAttention(output: string, weight: WeightEntry | null | undefined, bias: WeightEntry | null | undefined): void {
    const path = modulePath(output);
    if (path !== null && (weight || bias))
      this.attention.set(path, { weight: weight ? transposed(weight) : null, bias: bias ?? null });
  }

  /**
   * T5's table of biases belongs to the first attention that reads it. The optimizer of ONNX Runtime transposes the
   * values, [heads, buckets], and leaves the dimensions, [buckets, heads].
   */
  #addPositions(output: string, table: WeightEntry | null | undefined): void {
    const [reader] = this.view.consumers(output);
    const path = modulePath(reader?.name ?? '') ?? modulePath(reader?.outputs[0] ?? '');
    if (table?.shape.length === 2)
      this.#addTerm(path, 'relative_attention_bias.weight', transposed(reshaped(table, [...table.shape].reverse())));
  }

  /** Adds the scale and the bias of the similarities, if the optimizer of ONNX Runtime has computed exp(logit_scale). */
  #addSimilarities(
    op: 'Mul' | 'Add',
    inputs: readonly string[],
    output: string,
    constants: readonly (WeightEntry | null)[],
  ): void {
    const constant = constants.find((each) => each?.size === 1);
    if (!constant) return;
    if (op === 'Mul') this.#scales.set(output, constant);
    const names = [
      output,
      ...this.view.consumers(output).flatMap(({ op: next, outputs }) => (next === 'Cast' ? outputs : [])),
    ];
    if (!names.some((name) => name.startsWith('logits_per_'))) return;
    const scale = op === 'Mul' ? constant : inputs.flatMap((input) => this.#scales.get(input) ?? [])[0];
    const logarithm = async () => Float32Array.of(scale ? Math.log((await scale.data())[0] as number) : 0);
    this.single.set('logit_scale', new ComputedWeight(constant.shape, logarithm));
    if (op === 'Add') this.single.set('logit_bias', constant);
  }

  /** Adds the scale and the bias of the similarities of texts and images: exp(logit_scale) and logit_bias. */
  #addLogitScale(output: string, scale: WeightEntry | null | undefined): void {
    if (!scale) return;
    this.single.set('logit_scale', scale);
    const [product] = this.view.consumers(output);
    const [sum] = this.view.consumers(product?.outputs[0] ?? '');
    const bias = sum?.op === 'Add' ? sum.inputs.flatMap((input) => this.view.constant(input) ?? [])[0] : undefined;
    if (bias) this.single.set('logit_bias', bias);
  }
}
