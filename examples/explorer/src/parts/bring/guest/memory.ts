// The memory of a decoder for a text: keys and values that grow with it, and recurrent states of one size.
import type { CacheSpec, DecoderState } from 'simdformer/nn';
import { mul, sum } from 'simdformer/ops';
import type { Guest, Reading, Token } from './guest.js';

/** Memory of one layer, in float32. */
export interface LayerMemory {
  /** Bytes of keys and values for each token; 0 for a layer that has none, or uses those of another layer. */
  readonly perToken: number;
  /** Bytes of recurrent states, however long the text is. */
  readonly fixed: number;
}

export interface Remembered {
  readonly tokens: readonly Token[];
  readonly layers: readonly LayerMemory[];
  /** Layers with recurrent states, and the norm of their state after each token: [layers, T]. */
  readonly recurrent: readonly number[];
  readonly norms: Float32Array;
}

export async function remembered(guest: Guest, { target }: Reading): Promise<Remembered> {
  const tokens = target as readonly Token[];
  const needs = (guest.model.decoder?.layers ?? []).map((layer) => layer.cacheSpecs('float32'));
  const layers = needs.map((some) => ({ perToken: bytesOf(some, 'tokens'), fixed: bytesOf(some, 'states') }));
  const recurrent = layers.flatMap(({ fixed }, i) => (fixed > 0 ? [i] : []));
  const parts = recurrent.map((layer) => (needs[layer] as readonly CacheSpec[]).filter(isState));
  return { tokens, layers, recurrent, norms: await normsOf(guest, tokens, parts) };
}

const isState = ({ rows }: CacheSpec) => rows === 'states';

/** A word of memory has four bytes. */
function bytesOf(needs: readonly CacheSpec[], kind: CacheSpec['rows']): number {
  return needs.reduce((bytes, { rows, width }) => bytes + (rows === kind ? 4 * width : 0), 0);
}

/** Reads the text token by token, and measures the states after each. */
async function normsOf(
  { model, device }: Guest,
  tokens: readonly Token[],
  parts: readonly (readonly CacheSpec[])[],
): Promise<Float32Array> {
  const norms = new Float32Array(parts.length * tokens.length);
  if (parts.length === 0) return norms;
  const state = model.startDecoding({ maxLength: tokens.length });
  try {
    for (const [at, { id }] of tokens.entries()) {
      state.tokens.write([id]);
      device.noGrad(() => device.scope(() => void model.step(state)));
      const [slot] = await state.stateSlots.to.data();
      const reading = device.noGrad(() =>
        device.scope(() => parts.map((some) => Promise.all(some.map((part) => squareOf(state, part, slot as number))))),
      );
      for (const [layer, squares] of (await Promise.all(reading)).entries())
        norms[layer * tokens.length + at] = Math.sqrt(squares.reduce((a, b) => a + b, 0));
    }
    return norms;
  } finally {
    state.dispose();
  }
}

/** The sum of the squares of the newest state of a part. */
async function squareOf(state: DecoderState, { part, width }: CacheSpec, slot: number): Promise<number> {
  const newest = state
    .cacheOf(part)
    .reshape(-1, width)
    .rows(slot, slot + 1);
  return (await sum(mul(newest, newest)).data())[0] as number;
}
