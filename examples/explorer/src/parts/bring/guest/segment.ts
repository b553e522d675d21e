// Runs SAM: it reads a picture once, and outlines what a point marks.
import type { Tensor } from 'simdformer';
import type { ImageBytes } from 'simdformer/pretrained';
import { weightsOfPass } from './computed.js';
import type { Guest } from './guest.js';
import { mapsOfLayers, type PatchMap } from './patch-map.js';
import { pixelsOf } from './see.js';

/** A picture that the model has read. */
export interface ReadPicture {
  readonly image: ImageBytes;
  readonly maps: readonly PatchMap[];
  /** Layers of the encoder whose attention has too many numbers to show. */
  readonly tooLarge: readonly number[];
  /** The encoded picture. */
  readonly embeddings: { readonly shape: readonly number[]; readonly data: Float32Array };
  /** Pixels of the model's square for each of the picture. */
  readonly scale: number;
  /** Side of the square that the model reads. The picture is in its upper left corner. */
  readonly side: number;
}

/** An outline of what a point marks, as the probabilities of cells of the picture. */
export interface Outline {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns] */
  readonly values: Float32Array;
  /** The model's estimate of its overlap with the object. */
  readonly quality: number;
}

interface Segmenter {
  imageEmbeddings(pixels: Tensor): Tensor;
}

/** Most rows and columns of an outline. */
const MAX_CELLS = 96;

export async function readPicture(guest: Guest, image: ImageBytes): Promise<ReadPicture> {
  const { device, model } = guest;
  const { data, shape } = pixelsOf(guest, image);
  const side = shape[2] as number;
  const segmenter = model as unknown as Segmenter;
  const reads: { shape: readonly number[]; data: Promise<Float32Array> }[] = [];
  const { layers, tooLarge } = await weightsOfPass(device, () =>
    device.noGrad(() =>
      device.scope(() => {
        const encoded = segmenter.imageEmbeddings(device.tensor(data, shape));
        reads.push({ shape: encoded.shape, data: encoded.data() as Promise<Float32Array> });
      }),
    ),
  );
  const [read] = reads as [(typeof reads)[number]];
  const patches = read.shape[2] as number;
  const isPadded = model.processor !== null; // else the picture was stretched to a square
  return {
    image,
    maps: mapsOfLayers(layers, { side: patches, shifts: false, sections: null }),
    tooLarge,
    embeddings: { shape: read.shape, data: await read.data },
    scale: isPadded ? side / Math.max(image.width, image.height) : 0,
    side,
  };
}

/** Outlines what is at a point, given as shares of the picture's width and height. The best outline is first. */
export async function outlinesAt(
  guest: Guest,
  picture: ReadPicture,
  [x, y]: readonly [number, number],
): Promise<Outline[]> {
  const { device, model } = guest;
  const { side, embeddings } = picture;
  const [width, height] = sharesOf(picture);
  const reading = device.noGrad(() =>
    device.scope(() => {
      const { iouScores, predMasks } = model.forward({
        imageEmbeddings: device.tensor(embeddings.data, embeddings.shape),
        inputPoints: device.tensor(Float32Array.of(x * width * side, y * height * side), [1, 1, 1, 2]),
      }) as { iouScores: Tensor; predMasks: Tensor };
      return { scores: iouScores.data(), masks: predMasks.data(), shape: predMasks.shape };
    }),
  );
  const [scores, masks] = (await Promise.all([reading.scores, reading.masks])) as [Float32Array, Float32Array];
  const [, , count, high, wide] = reading.shape as [number, number, number, number, number];
  const outlines = Array.from({ length: count }, (_, i) => ({
    ...outlineOf(masks.subarray(i * high * wide, (i + 1) * high * wide), wide, [high * height, wide * width]),
    quality: scores[i] as number,
  }));
  return outlines.sort((a, b) => b.quality - a.quality);
}

/** The parts of the model's square that the picture fills. */
export function sharesOf({ image, scale, side }: ReadPicture): [width: number, height: number] {
  if (scale === 0) return [1, 1];
  return [(image.width * scale) / side, (image.height * scale) / side];
}

/** Probabilities of the mask's upper left part, in fewer cells if it is large. */
function outlineOf(logits: Float32Array, stride: number, [high, wide]: readonly [number, number]) {
  const least = Math.max(1, Math.ceil(Math.max(high, wide) / MAX_CELLS));
  const [rows, columns] = [high, wide].map((length) => Math.max(1, Math.round(length / least))) as [number, number];
  const values = Float32Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(((Math.floor(i / columns) + 0.5) * high) / rows);
    const column = Math.floor((((i % columns) + 0.5) * wide) / columns);
    return 1 / (1 + Math.exp(-(logits[row * stride + column] as number)));
  });
  return { rows, columns, values };
}
