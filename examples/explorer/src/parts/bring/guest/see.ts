// Runs a model of images: its labels, the boxes of its queries, and its attention over patches.
import type { Tensor } from 'simdformer';
import { type SampledAttention, sampledAttention } from 'simdformer/inspect';
import type { ImageBytes } from 'simdformer/pretrained';
import type { Guess, Guest } from './guest.js';
import { softmaxed } from './pass.js';
import type { PatchMap } from './patch-map.js';
import { best } from './read.js';

/** The object that a query of a detector finds. Places are shares of the picture's width and height. */
export interface Box {
  readonly label: string;
  readonly probability: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Places that the queries of a layer with deformable attention read, and their weights. */
export interface SampleMap {
  readonly heads: number;
  readonly queries: number;
  /** Samples of a head. */
  readonly samples: number;
  /** Shape [heads, queries, samples, 2]: x and y as shares of the picture's width and height. */
  readonly places: Float32Array;
  /** [heads, queries, samples] */
  readonly weights: Float32Array;
}

export interface Seen {
  readonly image: ImageBytes;
  readonly maps: readonly PatchMap[];
  readonly labels: readonly Guess[];
  /** One for each query; empty for models that find no objects. */
  readonly boxes: readonly Box[];
  /** One for each layer of the decoder; empty for models without deformable attention. */
  readonly samples: readonly SampleMap[];
}

interface ImageProcessor {
  process(images: readonly ImageBytes[]): { readonly data: Float32Array; readonly shape: readonly number[] };
}

/** Detectors whose last class is “no object”; the others give each class a probability of its own. */
const WITH_NOTHING: readonly string[] = ['detr', 'conditional_detr_resnet', 'yolos', 'table-transformer'];

export async function see(guest: Guest, image: ImageBytes): Promise<Seen> {
  const { model, device } = guest;
  const { data, shape } = pixelsOf(guest, image);
  const reading = device.noGrad(() =>
    device.scope(() => {
      const pixelValues = device.tensor(data, shape);
      const { logits, predBoxes } = model.forward({ pixelValues });
      const { encoder, cross } = model.attentionMaps(pixelValues);
      const kinds = [...of('encoder', encoder), ...of('cross', cross)];
      const maps = kinds.map(async (map) => ({ ...map, weights: await read(map.tensor) }));
      const samples = predBoxes ? sampledAttention(model, pixelValues).map(samplesOf) : [];
      return {
        maps: Promise.all(maps),
        logits: logits && read(logits),
        boxes: predBoxes && read(predBoxes),
        samples: Promise.all(samples),
      };
    }),
  );
  const [maps, logits, boxes] = await Promise.all([reading.maps, reading.logits, reading.boxes]);
  const samples = await reading.samples;
  const [, , height, width] = shape as [number, number, number, number];
  return {
    image,
    maps: maps.flatMap((map) => patchMap(map, height / width)),
    labels: logits && model.headKind === 'image-classification' ? labelsOf(guest, logits) : [],
    boxes: logits && boxes ? boxesOf(guest, logits, boxes) : [],
    samples,
  };
}

async function samplesOf({ positions, weights }: SampledAttention): Promise<SampleMap> {
  const [, heads, queries, samples] = weights.shape as [number, number, number, number];
  const reading = Promise.all([read(positions), read(weights)]);
  for (const tensor of [positions, weights]) tensor.dispose();
  const [at, shares] = await reading;
  return { heads, queries, samples, places: at, weights: shares };
}

const read = async (tensor: Tensor) => (await tensor.data()) as Float32Array;

const of = (kind: PatchMap['kind'], tensors: readonly Tensor[]) =>
  tensors.map((tensor, layer) => ({ kind, layer, tensor, shape: tensor.shape }));

/** Input of the model. Without a preprocessor_config.json, the picture is made as large as config.json says, from −1 to 1. */
export function pixelsOf({ model }: Guest, image: ImageBytes): { data: Float32Array; shape: readonly number[] } {
  if (model.processor !== null) return (model.processor as unknown as ImageProcessor).process([image]);
  const { image_size, vision_config } = model.config as {
    image_size?: number;
    vision_config?: { image_size?: number };
  };
  const size = image_size ?? vision_config?.image_size ?? 64;
  const data = new Float32Array(3 * size * size);
  const { width, height } = image;
  const channels = image.data.length / (width * height);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const from = Math.floor((y * height) / size) * width + Math.floor((x * width) / size);
      for (let c = 0; c < 3; c++)
        data[(c * size + y) * size + x] = (image.data[from * channels + c] as number) / 127.5 - 1;
    }
  return { data, shape: [1, 3, size, size] };
}

interface RawMap {
  readonly kind: PatchMap['kind'];
  readonly layer: number;
  readonly shape: readonly number[];
  readonly weights: Float32Array;
}

/** Most tokens before the patches. */
const MAX_EXTRA = 8;

/** The patches that keys stand for. Empty for maps of windows, and for keys that form no grid. */
function patchMap({ kind, layer, shape, weights }: RawMap, ratio: number): PatchMap[] {
  const [batch, heads, queries, keys] = shape as [number, number, number, number];
  if (batch !== 1) return [];
  for (let extra = 0; extra <= Math.min(MAX_EXTRA, keys - 4); extra++) {
    const rows = Math.round(Math.sqrt((keys - extra) * ratio));
    const columns = (keys - extra) / rows;
    if (Number.isInteger(columns) && Math.abs(rows / columns / ratio - 1) < 0.2)
      return [{ kind, layer, heads, queries, extra, rows, columns, windows: null, weights }];
  }
  return [];
}

function labelsOf(guest: Guest, logits: Float32Array): Guess[] {
  return best(softmaxed({ shape: [1, logits.length], data: logits }).data, (id) => guest.labelOf(id));
}

function boxesOf(guest: Guest, logits: Float32Array, boxes: Float32Array): Box[] {
  const queries = boxes.length / 4;
  const classes = logits.length / queries;
  const hasNothing = WITH_NOTHING.includes(guest.type);
  const probabilities = hasNothing
    ? softmaxed({ shape: [queries, classes], data: logits }).data
    : logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  return Array.from({ length: queries }, (_, query) => {
    const row = probabilities.subarray(query * classes, (query + 1) * classes - Number(hasNothing));
    const probability = row.reduce((a, b) => Math.max(a, b));
    const [x, y, width, height] = boxes.subarray(4 * query, 4 * query + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    return {
      label: guest.labelOf(row.indexOf(probability)),
      probability,
      left: x - width / 2,
      top: y - height / 2,
      width,
      height,
    };
  });
}
