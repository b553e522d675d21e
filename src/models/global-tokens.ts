// Windows and global tokens of Longformer and LED.

import { describeValue } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { GlobalSequences } from '../nn/local-global-attention.js';
import type { PaddedBatch, Rows } from './inputs.js';
import type { ModelConfig } from './model-config.js';

/**
 * Number of keys that a query of a layer sees to one side, itself included. `attention_window` counts those on both
 * sides, without the query: one number, or a list with one for each of the `layers`. Throws FormatError for other
 * values.
 */
export function attentionWindow(config: ModelConfig, layer: number, layers: number): number {
  const { attention_window: windows } = config.values;
  if (Array.isArray(windows) && windows.length !== layers)
    throw new FormatError(
      `config.json: attention_window has ${windows.length} numbers, expected ${layers}, one a layer`,
    );
  const size: unknown = Array.isArray(windows) ? windows[layer] : windows;
  if (typeof size === 'number' && size > 0 && size < 2 ** 31 && size % 2 === 0) return size / 2 + 1;
  throw new FormatError(`config.json: attention_window has ${describeValue(size)}, expected an even number above 0`);
}

/** True for a global token, by its sequence, its position among the sequence's tokens, and its column in the row. */
type IsGlobal = (sequence: number, position: number, column: number) => boolean;

/** The sequences with those tokens as global ones. Padding is never global. */
export function withGlobals(padded: PaddedBatch, isGlobal: IsGlobal): GlobalSequences {
  const { sequences, starts } = padded;
  const globals = sequences.counts.map((count, i) => {
    const isToken = (position: number) => sequences.isToken?.[i]?.[position] ?? true;
    const allPositions = Array.from({ length: count }, (_, position) => position);
    return allPositions.filter(
      (position) => isToken(position) && isGlobal(i, position, position + (starts[i] as number)),
    );
  });
  return new GlobalSequences(sequences, globals);
}

/** The sequences with the tokens that `mask`, [B, T], marks by 1 as global ones. */
export function withGlobalMask(padded: PaddedBatch, mask: Rows): GlobalSequences {
  const marks = padded.pack('globalAttentionMask', mask);
  const wrong = marks.find((mark) => mark !== 0 && mark !== 1);
  if (wrong !== undefined)
    throw new ArgumentError(`forward: globalAttentionMask has ${describeValue(wrong)}, expected 0 or 1`);
  const { starts } = padded.batch;
  return withGlobals(padded, (sequence, position) => marks[(starts[sequence] as number) + position] === 1);
}
