// Tells what a product computes for an attention: queries, keys or values. Graphs that have lost the names of projections
// still show how the attention reads them.

import type { OnnxNode } from '../../io/onnx.js';
import type { ProjectionRole } from '../../models/weight-entry.js';

/** Access to the nodes of a graph. */
interface NodesView {
  consumers(output: string): readonly OnnxNode[];
  /** True for values that the file has, in contrast to computed ones. */
  isStored(input: string): boolean;
}

const PRODUCT = /^(Fused)?MatMul$/;
/** Operators behind which values belong to another layer. */
const END = /^(Skip)?(Simplified)?LayerNormalization$|^(MatMulInteger|MatMulNBits|Gemm|Softmax)$/;
/** Nodes that are visited at most. Rotary embeddings have a dozen. */
const MAX_NODES = 64;

/** Returns the roles that the output of a node has in the next attention. A fused projection has several. */
export function attentionRoles({ outputs: [output = ''] }: OnnxNode, view: NodesView): ReadonlySet<ProjectionRole> {
  const roles = new Set<ProjectionRole>();
  const waiting = [output];
  const seen = new Set(waiting);
  for (const value of waiting) {
    if (seen.size > MAX_NODES) break;
    for (const { op, inputs, outputs } of view.consumers(value)) {
      if (PRODUCT.test(op) && !inputs.some(view.isStored)) roles.add(roleIn(inputs, outputs, value, view));
      else if (!PRODUCT.test(op) && !END.test(op))
        for (const next of outputs)
          if (!seen.has(next)) {
            seen.add(next);
            waiting.push(next);
          }
    }
  }
  return roles;
}

/** Scores are products of queries with keys. The softmax of scores is multiplied with values. */
function roleIn(
  [first]: readonly string[],
  [output = '']: readonly string[],
  value: string,
  view: NodesView,
): ProjectionRole {
  if (first === value) return 'query';
  return leadsToSoftmax(output, view) ? 'key' : 'value';
}

/** True if scores lead to a softmax, before a product. */
function leadsToSoftmax(output: string, view: NodesView): boolean {
  const waiting = [output];
  for (const value of waiting) {
    if (waiting.length > MAX_NODES) return false;
    for (const { op, outputs } of view.consumers(value)) {
      if (op === 'Softmax') return true;
      if (!PRODUCT.test(op) && !END.test(op)) waiting.push(...outputs);
    }
  }
  return false;
}
