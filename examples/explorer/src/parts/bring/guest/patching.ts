// Activation patching (Vig et al. 2020; Meng et al. 2022). One vector of another text replaces that of this text. The
// prediction then moves towards that of the other text.
import type { Tensor } from 'simdformer';
import type { Values } from 'simdformer/inspect';
import { Sequences, type Stack } from 'simdformer/nn';
import { gather } from 'simdformer/ops';
import { Complaint } from '../../../model.js';
import { rowOf } from '../../../traced.js';
import type { Guest, Reading, Token } from './guest.js';
import { passOf } from './pass.js';
import { idsOf } from './read.js';

export interface Patched {
  /** Tokens of the text and of the other one, as many. */
  readonly tokens: readonly Token[];
  readonly others: readonly Token[];
  /** The next token after the other text, and after this text. */
  readonly other: Token;
  readonly own: Token;
  /** Logit of `other` minus logit of `own`, after the other text and after this one. */
  readonly most: number;
  readonly least: number;
  /**
   * The share of the way from `least` to `most` if the input of a layer comes from the other text at one token:
   * [layers, T].
   */
  readonly effects: Float32Array;
}

/** Patches every layer and token. Throws Complaint if the texts differ in length, or agree in the next token. */
export async function patched(guest: Guest, { target }: Reading, text: string): Promise<Patched> {
  const { model } = guest;
  const tokens = target as readonly Token[];
  const others = guest.tokens(idsOf(guest, text));
  if (others.length !== tokens.length)
    throw new Complaint(
      `The other text has ${others.length} tokens, and this one ${tokens.length}. Change words, but keep their number.`,
    );
  const [here, there] = [
    await passOf(
      model,
      tokens.map(({ id }) => id),
    ),
    await passOf(
      model,
      others.map(({ id }) => id),
    ),
  ] as const;
  const last = tokens.length - 1;
  const [own, other] = [here, there].map(({ logits }) => highest(rowOf(logits, last))) as [number, number];
  if (own === other)
    throw new Complaint(`Both texts lead to “${guest.nameOf(own)}”. Change the other one so that it leads elsewhere.`);
  const difference = (row: Float32Array) => (row[other] as number) - (row[own] as number);
  const [least, most] = [here, there].map(({ logits }) => difference(rowOf(logits, last))) as [number, number];
  const layers = (model.decoder as Stack).layers.length;
  const effects = new Float32Array(layers * tokens.length);
  for (let layer = 0; layer < layers; layer++) {
    const differences = await differencesFrom(guest, layer, here.states[layer], there.states[layer], [own, other]);
    effects.set(
      differences.map((value) => (value - least) / (most - least)),
      layer * tokens.length,
    );
  }
  const [ownToken, otherToken] = guest.tokens([own, other]) as [Token, Token];
  return { tokens, others, own: ownToken, other: otherToken, least, most, effects };
}

/** Runs the layers from `first` on for T texts, each with one vector of `there`. Returns their logit differences. */
async function differencesFrom(
  { model, device }: Guest,
  first: number,
  here: Values | undefined,
  there: Values | undefined,
  [own, other]: readonly [number, number],
): Promise<Float32Array> {
  const [count, width] = (here as Values).shape as [number, number];
  const rows = new Float32Array(count * count * width);
  for (let token = 0; token < count; token++) {
    rows.set((here as Values).data, token * count * width);
    rows.set(rowOf(there as Values, token), (token * count + token) * width);
  }
  const { layers, exit, norm, projection } = model.decoder as Stack;
  const reading = device.noGrad(() =>
    device.scope(() => {
      const batch = Sequences.of(device, Array<number>(count).fill(count));
      let x: Tensor = device.tensor(rows, [count * count, width]);
      for (const layer of layers.slice(first)) x = layer.forward(x, batch);
      const ends = device.tensor(Int32Array.from({ length: count }, (_, i) => (i + 1) * count - 1));
      const ended = gather(exit?.forward(x) ?? x, ends);
      const normed = norm?.forward(ended) ?? ended;
      const logits = model.logitsOf(projection?.forward(normed) ?? normed);
      return [own, other].map((id) => logits.columns(id, id + 1).data());
    }),
  );
  const [owns, others] = (await Promise.all(reading)) as [Float32Array, Float32Array];
  return others.map((value, i) => value - (owns[i] as number));
}

function highest(row: Float32Array): number {
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}
