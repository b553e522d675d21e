// The experts that a mixture chooses for the tokens of a text.
import type { Tensor } from 'simdformer';
import { MixtureOfExperts, type Routing } from 'simdformer/nn';
import type { Guest, Reading, Token } from './guest.js';

/** The choice in one layer. */
export interface LayerChoice {
  /** Number of the layer, from 0. */
  readonly layer: number;
  readonly experts: number;
  /** Chosen experts of each token, best first, with the factors of their outputs: [T, chosen]. */
  readonly ids: Int32Array;
  readonly weights: Float32Array;
  readonly chosen: number;
}

export interface Choices {
  readonly tokens: readonly Token[];
  readonly layers: readonly LayerChoice[];
}

/** The mixtures of a model, with their layers. */
function mixturesOf({ model }: Guest): { layer: number; mixture: MixtureOfExperts }[] {
  const layers = (model.decoder ?? model.encoder)?.layers ?? [];
  return layers.flatMap((each, layer) =>
    each.modules().flatMap((mixture) => (mixture instanceof MixtureOfExperts ? [{ layer, mixture }] : [])),
  );
}

export async function choicesOf(guest: Guest, reading: Reading): Promise<Choices> {
  const { model } = guest;
  const tokens = (reading.target ?? reading.source) as readonly Token[];
  const mixtures = mixturesOf(guest);
  const routings: Promise<Omit<LayerChoice, 'layer'>>[] = [];
  mixtures.forEach(({ mixture }, i) => {
    mixture.observe((routing) => {
      routings[i] = choiceOf(routing);
    });
  });
  try {
    model.device.noGrad(() => model.device.scope(() => void model.forward({ inputIds: [tokens.map(({ id }) => id)] })));
    const choices = await Promise.all(routings);
    return { tokens, layers: choices.map((choice, i) => ({ layer: mixtures[i]?.layer ?? i, ...choice })) };
  } finally {
    for (const { mixture } of mixtures) mixture.observe(null);
  }
}

async function choiceOf({ logits, ids, weights }: Routing): Promise<Omit<LayerChoice, 'layer'>> {
  const [experts, chosen] = [logits, ids].map(({ shape }: Tensor) => shape.at(-1) as number) as [number, number];
  const [chosenIds, factors] = await Promise.all([ids.data(), weights.data()]);
  return { experts, chosen, ids: chosenIds as Int32Array, weights: factors as Float32Array };
}
