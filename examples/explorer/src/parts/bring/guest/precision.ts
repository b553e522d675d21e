// Compares a model in float32 with the same model in a packed format, on one text.
import type { Values } from 'simdformer/inspect';
import { type LoadedModel, type LoadModelOptions, loadModel } from 'simdformer/pretrained';
import { rowOf } from '../../../traced.js';
import type { Guess, Guest, Reading, Token } from './guest.js';
import { type Pass, passOf } from './pass.js';
import { best } from './read.js';

export type Format = Exclude<NonNullable<LoadModelOptions['weights']>, 'float32'>;

export const formats: Readonly<Record<Format, string>> = {
  int4: 'int4',
  int8: 'int8',
  bfloat16: 'bfloat16',
  float16: 'float16',
  auto: 'as in the file',
};

/** Effect of a format on a text. */
export interface Rounding {
  /** Relative error of the hidden states, ‖packed − exact‖ / ‖exact‖, of the embeddings and after each layer. */
  readonly byLayer: readonly number[];
  /** This error for each token: [layers + 1, T]. */
  readonly byToken: Float32Array;
  readonly tokens: readonly Token[];
  /** Best guesses at the last token, with float32 and with the format. Empty without a head for tokens. */
  readonly exact: readonly Guess[];
  readonly packed: readonly Guess[];
  /** Number of tokens whose best guess changes. */
  readonly changed: number;
}

export async function roundingOf(guest: Guest, reading: Reading, format: Format): Promise<Rounding> {
  const { model } = guest;
  const tokens = (reading.target ?? reading.source) as readonly Token[];
  const ids = (some: readonly Token[]) => some.map(({ id }) => id);
  const run = (some: LoadedModel) =>
    reading.source && reading.target
      ? passOf(some, ids(reading.source), ids(reading.target))
      : passOf(some, ids(tokens));
  const isPacked = guest.source instanceof File; // a GGUF file's blocks are kept
  const exact = isPacked ? await withModel(guest, 'float32', run) : await run(model);
  const packed = await withModel(guest, format, run);
  const last = tokens.length - 1;
  const guessesOf = ({ probabilities }: Pass) =>
    probabilities.data.length > 0 ? best(rowOf(probabilities, last), (id) => guest.labelOf(id)) : [];
  const changed = tokens.filter((_, i) => firstOf(exact, i) !== firstOf(packed, i)).length;
  return {
    ...errorsOf(exact.states, packed.states),
    tokens,
    exact: guessesOf(exact),
    packed: guessesOf(packed),
    changed,
  };
}

/** Runs `task` with a copy of the model in another format, which is then disposed of. */
async function withModel<T>(
  { device, source }: Guest,
  weights: Format | 'float32',
  task: (model: LoadedModel) => Promise<T>,
): Promise<T> {
  const model = await loadModel(device, source, { weights, onWarning: () => {} });
  try {
    return await task(model);
  } finally {
    model.dispose();
  }
}

/** Index of the best guess at a token; 0 without guesses. */
function firstOf({ probabilities }: Pass, token: number): number {
  if (probabilities.data.length === 0) return 0;
  const row = rowOf(probabilities, token);
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}

function errorsOf(exact: readonly Values[], packed: readonly Values[]): Pick<Rounding, 'byLayer' | 'byToken'> {
  const count = exact[0]?.shape[0] ?? 0;
  const byToken = new Float32Array(exact.length * count);
  const byLayer = exact.map((states, layer) => {
    let [wrong, whole] = [0, 0];
    for (let token = 0; token < count; token++) {
      const [right, other] = [rowOf(states, token), rowOf(packed[layer] as Values, token)];
      const difference = right.reduce((sum, x, i) => sum + (x - (other[i] as number)) ** 2, 0);
      const size = right.reduce((sum, x) => sum + x * x, 0);
      byToken[layer * count + token] = Math.sqrt(difference / (size || 1));
      wrong += difference;
      whole += size;
    }
    return Math.sqrt(wrong / (whole || 1));
  });
  return { byLayer, byToken };
}
