// Finds the product with the output projection of a language model, in graphs that have lost the names of matrices. The
// matrix has the shape of the token table, and may be a copy of it that was quantized by itself.

import { FormatError } from '../../core/errors.js';
import { quote } from '../../io/dtypes.js';
import type { OnnxNode } from '../../io/onnx.js';

/** Operators that multiply with a matrix of floats or integers. */
export const PRODUCT = /^(MatMul|MatMulInteger|FusedMatMul|Gemm)$/;

/** Access to the matrices and the modules of a graph. */
interface ProductView {
  isGeneratedName(input: string): boolean;
  /** Returns the shape of a matrix, as it is stored. */
  shapeOf(input: string): readonly number[] | undefined;
  /** Returns the path of the module that a node computes; null if the graph does not tell. */
  moduleOf(node: OnnxNode): string | null;
}

/**
 * Returns the product of the output to which a table of this shape may be tied; null if there is none. It belongs to the
 * module `output`, or to an unknown one. Throws FormatError if several products of unknown modules may be it.
 */
export function outputProduct(
  nodes: readonly OnnxNode[],
  table: readonly number[],
  output: string | null,
  view: ProductView,
): OnnxNode | null {
  const alike = nodes.filter((node) => multiplies(node, table, view));
  const known = alike.find((node) => output !== null && view.moduleOf(node) === output);
  if (known !== undefined) return known;
  const unknown = alike.filter((node) => view.moduleOf(node) === null);
  if (new Set(unknown.map(({ inputs }) => inputs[1])).size > 1)
    throw new FormatError(
      `products ${unknown.map(({ name }) => quote(name)).join(', ')} have no path of a module, and each may be the output: quantize the export without preprocessing, or load the file of float32`,
    );
  return unknown[0] ?? null;
}

/** True for a product with a matrix of the shape [out, in] whose name was generated. */
function multiplies({ op, inputs, attributes }: OnnxNode, [rows, columns]: readonly number[], view: ProductView) {
  const [, input = ''] = inputs;
  if (!view.isGeneratedName(input)) return false;
  if (/^MatMul(NBits|Bnb4)$/.test(op)) return attributes.get('N') === rows && attributes.get('K') === columns;
  const [first, second, ...others] = (PRODUCT.test(op) ? view.shapeOf(input) : undefined) ?? [];
  if (others.length > 0) return false;
  return attributes.get('transB') === 1 ? first === rows && second === columns : first === columns && second === rows;
}
