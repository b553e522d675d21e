// Weights of attention that a pass computes, read from the device.
import type { Device } from 'simdformer';
import { computedAttention } from 'simdformer/inspect';
import type { HeadWeights } from '../../look-inside/heads.js';
import type { LayerWeights } from './patch-map.js';

/** Most numbers in the maps of a pass. Later maps are left out. */
const MAX_NUMBERS = 2 ** 26;

/** Runs `pass`, and returns the weights of each attention of it. `wants`: see `computedAttention`. */
export async function weightsOfPass(
  device: Device,
  pass: () => unknown,
  wants: (index: number) => boolean = () => true,
): Promise<LayerWeights[]> {
  let room = MAX_NUMBERS;
  const tensors = await computedAttention(device, pass, (index, shape) => {
    if (!wants(index)) return false;
    const numbers = shape.reduce((product, length) => product * length, 1);
    if (numbers > room) return false;
    room -= numbers;
    return true;
  });
  try {
    return await Promise.all(
      tensors.map(async (tensor) => ({ shape: tensor.shape, weights: (await tensor.data()) as Float32Array })),
    );
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}

/** The heads of layers in which the tokens of one text attend to each other. */
export function headsOfText(layers: readonly LayerWeights[], names: readonly string[]): HeadWeights[] {
  const size = names.length ** 2;
  return layers.flatMap(({ shape, weights }, layer) =>
    Array.from({ length: shape[1] as number }, (_, head) => ({
      id: { attention: 'encoder' as const, layer, head },
      weights: weights.subarray(head * size, (head + 1) * size),
      causal: false,
      queries: names,
      keys: names,
    })),
  );
}
