// Runs Whisper or Moonshine on a recording: its words, and the times in the sound that it attends to for each.
import type { Tensor } from 'simdformer';
import { mixDown, readWav, resample } from 'simdformer/pretrained';
import { pipeline } from 'simdformer/tasks';
import { Complaint } from '../../../model.js';
import type { HeadWeights } from '../../look-inside/heads.js';
import type { Alignment } from './alignment-figure.js';
import type { Guest, Token } from './guest.js';
import { spectrogramOf } from './spectrogram.js';

/** Maximum number of columns of a map. A recording has up to 1500 positions, which is more than there are pixels. */
export const MAX_COLUMNS = 75;

/** Maximum number of tokens in the picture of a model without attention to the sound. */
export const MAX_ROWS = 96;

export interface Heard {
  readonly guest: Guest;
  readonly name: string;
  /** Text and length of the whole recording. */
  readonly text: string;
  readonly seconds: number;
  /** Tokens of the first 30 seconds. The values below are of this part, too. */
  readonly tokens: readonly Token[];
  /** Cross attention, layer by layer. */
  readonly heads: readonly HeadWeights[];
  readonly headsOfLayer: number;
  readonly alignment: Alignment;
}

export interface Extractor {
  readonly samplingRate: number;
  /** Samples that the model reads at once; undefined if it reads any number. */
  readonly samples?: number;
  process(recordings: readonly Float32Array[]): { readonly data: Float32Array; readonly shape: readonly number[] };
}

/** A model that computes the maps of its cross-attention alone, because those of its encoder would be large. */
interface Listening {
  readonly maxSourceLength: number;
  crossAttention: (
    source: unknown,
    tokens: readonly (readonly number[])[],
    heads: readonly (readonly [number, number])[],
  ) => { readonly shape: readonly number[]; data(): Promise<Float32Array | Int32Array> };
}

/** Runs the model on a recording. Throws Complaint for a file that is not a recording. */
export async function listen(guest: Guest, name: string, file: Uint8Array): Promise<Heard> {
  const { model, device } = guest;
  const { samples, extractor } = samplesOf(guest, file);
  const { text } = await transcribe(guest, samples, extractor.samplingRate);
  const { data, shape } = extractor.process([samples]);
  const features = device.tensor(data, shape);
  try {
    const written = (await model.generate(features, { numBeams: 1, doSample: false })).sequences[0] as number[];
    const tokens = [model.startId as number, ...written].slice(0, model.maxLength);
    const { samples: whole = samples.length } = extractor;
    const sounding = Math.min(1, samples.length / whole);
    const heads = await headsOf(guest, features, tokens, sounding, sounding * (whole / extractor.samplingRate));
    const seconds = samples.length / extractor.samplingRate;
    const headsOfLayer = model.decoder?.layers[0]?.multiheadAttn?.heads ?? 1;
    const heard = samples.subarray(0, whole);
    const alignment = alignmentOf(heads, heard, extractor.samplingRate);
    return { guest, name, text, seconds, tokens: guest.tokens(tokens), heads, headsOfLayer, alignment };
  } finally {
    features.dispose();
  }
}

/** A recording, and the text that the model wrote for it. */
interface Written extends Pick<Heard, 'guest' | 'name' | 'text'> {
  readonly samples: Float32Array;
  readonly samplingRate: number;
  /** Number of columns of the picture. */
  readonly columns: number;
}

/** The result of a model without cross-attention. `values` [tokens, columns] aligns the tokens with the sound. */
export function withoutHeads(
  { samples, samplingRate, columns, ...recording }: Written,
  ids: readonly number[],
  values: Float32Array,
  kind: Alignment['kind'],
): Heard {
  const tokens = recording.guest.tokens(ids);
  const spectrogram = spectrogramOf(samples, samplingRate, columns);
  const alignment = { spectrogram, tokens: tokens.map(({ name }) => name), values, kind };
  return { ...recording, tokens, heads: [], headsOfLayer: 1, seconds: samples.length / samplingRate, alignment };
}

/** The samples of a recording, as the model's extractor reads them. Throws Complaint without an extractor. */
export function samplesOf({ model, name }: Guest, file: Uint8Array): { samples: Float32Array; extractor: Extractor } {
  const extractor = model.processor as unknown as Extractor | null;
  if (extractor === null || !('samplingRate' in extractor))
    throw new Complaint(`“${name}” has no preprocessor_config.json, which describes how it reads sound.`);
  const recording = readWav(file);
  return { samples: resample(mixDown(recording), recording.samplingRate, extractor.samplingRate), extractor };
}

/** The mean of all heads, with the spectrogram of the same time. */
function alignmentOf(heads: readonly HeadWeights[], samples: Float32Array, samplingRate: number): Alignment {
  const [{ queries, keys, weights }] = heads as [HeadWeights];
  const values = weights.map(
    (_, i) => heads.reduce((sum, head) => sum + (head.weights[i] as number), 0) / heads.length,
  );
  const spectrogram = spectrogramOf(samples, samplingRate, keys.length);
  return { spectrogram, tokens: queries, values, kind: 'attention' };
}

/** Without a tokenizer there are no words. */
export async function transcribe(
  { model }: Guest,
  samples: Float32Array,
  samplingRate: number,
): Promise<{ text: string }> {
  if (model.tokenizer === null) return { text: '' };
  const recognize = await pipeline('automatic-speech-recognition', model);
  return recognize({ samplingRate, channels: [samples] });
}

async function headsOf(
  guest: Guest,
  features: Tensor,
  tokens: readonly number[],
  sounding: number,
  seconds: number,
): Promise<HeadWeights[]> {
  const { model } = guest;
  const layers = model.decoder?.layers ?? [];
  const ids = layers.flatMap(({ multiheadAttn }, layer) =>
    Array.from({ length: multiheadAttn?.heads ?? 0 }, (_, head) => [layer, head] as const),
  );
  const { all, places } = await attentionOf(guest, features, tokens, ids);
  const used = Math.max(1, Math.round(sounding * places));
  const columns = Math.min(MAX_COLUMNS, used);
  const keys = Array.from({ length: columns }, (_, i) => `${((i * seconds) / columns).toFixed(1)} s`);
  const names = tokens.map((id) => guest.nameOf(id));
  // The row of a token shows where the next token comes from.
  const queries = [...names.slice(1), 'end'];
  return ids.map(([layer, head], i) => {
    const weights = new Float32Array(tokens.length * columns);
    for (let row = 0; row < tokens.length; row++) {
      const from = (i * tokens.length + row) * places;
      for (let place = 0; place < used; place++) {
        const at = row * columns + Math.floor((place * columns) / used);
        weights[at] = (weights[at] as number) + (all[from + place] as number);
      }
    }
    return { id: { attention: 'cross', layer, head }, weights, causal: false, queries, keys };
  });
}

/** Attention of the given heads to the places of the sound: [heads, T, places]. */
async function attentionOf(
  { model, device }: Guest,
  features: Tensor,
  tokens: readonly number[],
  heads: readonly (readonly [number, number])[],
): Promise<{ all: Float32Array; places: number }> {
  if ('crossAttention' in model) {
    const { crossAttention, maxSourceLength } = model as unknown as Listening;
    const { reading } = device.scope(() => ({ reading: crossAttention.call(model, features, [tokens], heads).data() }));
    return { all: (await reading) as Float32Array, places: maxSourceLength };
  }
  const { reading, places } = device.scope(() => {
    const { cross } = model.attentionMaps(features, [[...tokens]]);
    return { reading: Promise.all(cross.map((map) => map.data())), places: cross[0]?.shape[3] ?? 1 };
  });
  const maps = (await reading) as Float32Array[];
  const all = new Float32Array(heads.length * tokens.length * places);
  for (const [layer, map] of maps.entries()) all.set(map, layer * map.length);
  return { all, places };
}
