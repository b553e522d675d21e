// Weights of attention that a pass computes, read from the device.
import type { Device, Tensor } from 'simdformer';
import { computedAttention } from 'simdformer/inspect';
import type { HeadWeights } from '../../look-inside/heads.js';
import type { LayerWeights } from './patch-map.js';

/** Maximum of numbers in the maps of a pass. Maps that exceed the rest of it are left out. */
const MAX_NUMBERS = 2 ** 26;

/** Weights of the attentions of a pass. */
export interface WeightsOfPass {
  readonly layers: LayerWeights[];
  /** Indices of attentions that have too many numbers. */
  readonly tooLarge: readonly number[];
}

/** Runs `pass`, and returns the weights of each attention of it. `wants`: see `computedAttention`. */
export async function weightsOfPass(
  device: Device,
  pass: () => unknown,
  wants: (index: number) => boolean = () => true,
): Promise<WeightsOfPass> {
  let room = MAX_NUMBERS;
  const indices: number[] = [];
  const tooLarge: number[] = [];
  const tensors = await computedAttention(device, pass, (index, shape) => {
    if (!wants(index)) return false;
    const numbers = shape.reduce((product, length) => product * length, 1);
    if (numbers > room) {
      tooLarge.push(index);
      return false;
    }
    room -= numbers;
    indices.push(index);
    return true;
  });
  try {
    const read = async (tensor: Tensor, i: number): Promise<LayerWeights> => ({
      layer: indices[i] as number,
      shape: tensor.shape,
      weights: (await tensor.data()) as Float32Array,
    });
    return { layers: await Promise.all(tensors.map(read)), tooLarge };
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}

/** The heads of layers in which the tokens of one text attend to each other. */
export function headsOfText(layers: readonly LayerWeights[], names: readonly string[]): HeadWeights[] {
  const size = names.length ** 2;
  return layers.flatMap(({ layer, shape, weights }) =>
    Array.from({ length: shape[1] as number }, (_, head) => ({
      id: { attention: 'encoder' as const, layer, head },
      weights: weights.subarray(head * size, (head + 1) * size),
      causal: false,
      queries: names,
      keys: names,
    })),
  );
}
