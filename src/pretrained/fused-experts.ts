// Experts in the layout that transformers 5 has in memory and may save. One tensor holds the gates and the projections
// that they multiply, and one the projections back. Most checkpoints have a tensor for each expert instead.

import { FormatError } from '../core/errors.js';
import { quote } from '../io/dtypes.js';
import { SafetensorsEntry } from '../io/safetensors.js';
import type { WeightEntry } from '../models/weight-entry.js';

const FUSED = /^(.*\.experts)\.(gate_up_proj|down_proj)$/;

/** Names of an expert's gate, the projection that it multiplies, and the projection back. */
const EACH = [
  ['gate_proj', 'up_proj', 'down_proj'],
  ['w1', 'w3', 'w2'],
] as const;

/** Names that differ in memory from those in checkpoints. */
const RENAMED: readonly (readonly [memory: RegExp, checkpoint: string])[] = [
  [/block_sparse_moe\.experts\.gate_up_proj$/, 'block_sparse_moe.input_linear.weight'],
  [/block_sparse_moe\.experts\.down_proj$/, 'block_sparse_moe.output_linear.weight'],
  [/block_sparse_moe\.router\.weight$/, 'block_sparse_moe.router.layer.weight'],
  [/mlp\.gate\.moe_statics\./, 'mlp.moe_statics.'],
];

/**
 * The tensors of a file in the layout of checkpoints. `wanted`: all names that the model's tensors may have. Throws
 * FormatError for a tensor of experts that is not [experts, out, in].
 */
export function withSplitExperts(
  tensors: ReadonlyMap<string, WeightEntry>,
  wanted: ReadonlySet<string>,
): Map<string, WeightEntry> {
  const found = new Map<string, WeightEntry>();
  for (const [name, entry] of tensors) {
    const [, block, kind] = FUSED.exec(name) ?? [];
    const format = EACH.find(([gate]) => wanted.has(`${block}.0.${gate}.weight`));
    if (wanted.has(name) || format === undefined || !(entry instanceof SafetensorsEntry)) {
      found.set(wanted.has(name) ? name : renamed(name, wanted), entry);
      continue;
    }
    const [gate, up, down] = format;
    const parts = kind === 'down_proj' ? [down] : [gate, up];
    const [experts = 0, out = 0, columns = 0] = entry.shape;
    const rows = out / parts.length;
    if (entry.shape.length !== 3 || !Number.isInteger(rows))
      throw new FormatError(`tensor ${quote(name)} is [${entry.shape.join(', ')}], expected [experts, out, in]`);
    for (let expert = 0; expert < experts; expert++)
      for (const [i, part] of parts.entries()) {
        const expertName = `${block}.${expert}.${part}.weight`;
        found.set(expertName, entry.part(expertName, [rows, columns], (expert * out + i * rows) * columns));
      }
  }
  return found;
}

function renamed(name: string, wanted: ReadonlySet<string>): string {
  const other = RENAMED.reduce((result, [memory, checkpoint]) => result.replace(memory, checkpoint), name);
  return wanted.has(other) ? other : name;
}
