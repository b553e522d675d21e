// Runs a model that speaks a text: the sound, and when each token is in it.
import type { HeadWeights } from '../../look-inside/heads.js';
import type { Alignment } from './alignment-figure.js';
import { headsOfText, weightsOfPass } from './computed.js';
import { type Guest, MAX_TOKENS, type Token } from './guest.js';
import { MAX_COLUMNS } from './listen.js';
import type { LayerWeights } from './patch-map.js';
import { idsOf } from './read.js';
import { type Spectrogram, spectrogramOf } from './spectrogram.js';

export interface Said {
  readonly tokens: readonly Token[];
  /** Number of the text's tokens that were cut off. */
  readonly left: number;
  readonly alignment: Alignment;
  /** Attention of the text's encoder, layer by layer. */
  readonly heads: readonly HeadWeights[];
  readonly headsOfLayer: number;
  /** The samples; null for a model that leaves them to a vocoder. */
  readonly sound: { readonly samples: Float32Array; readonly samplingRate: number } | null;
  /** Number of frames of the spectrogram. */
  readonly frames: number;
}

/** VITS. */
interface Speaker {
  speakInTime(ids: readonly (readonly number[])[]): Promise<{ samples: Float32Array; frames: readonly number[] }[]>;
}

/** SpeechT5. */
interface Writer {
  speak(ids: readonly number[], options: object): Promise<Float32Array>;
}

/** Steps of a model that writes a spectrogram, for each token of the text. */
const STEPS_PER_TOKEN = 10;

/** Throws Complaint for a text that cannot be read. */
export async function say(guest: Guest, text: string): Promise<Said> {
  const all = idsOf(guest, text);
  const ids = all.slice(0, MAX_TOKENS);
  const tokens = guest.tokens(ids);
  const spoken = 'speakInTime' in guest.model ? await speakInTime(guest, ids) : await write(guest, ids);
  const names = tokens.map(({ name }) => name);
  const { spectrogram, values, kind, sound, frames } = spoken;
  return {
    tokens,
    left: all.length - ids.length,
    heads: headsOfText(spoken.layers, names),
    headsOfLayer: spoken.layers[0]?.shape[1] ?? 1,
    sound,
    frames,
    alignment: { spectrogram, tokens: names, values, kind },
  };
}

interface Spoken extends Pick<Alignment, 'spectrogram' | 'values' | 'kind'>, Pick<Said, 'sound' | 'frames'> {
  readonly layers: readonly LayerWeights[];
}

/** A model that decides how many frames each token lasts. */
async function speakInTime({ model, device }: Guest, ids: readonly number[]): Promise<Spoken> {
  const spoken: Awaited<ReturnType<Speaker['speakInTime']>> = [];
  const { layers } = await weightsOfPass(device, async () => {
    spoken.push(...(await (model as unknown as Speaker).speakInTime([ids])));
  });
  const [{ samples, frames: durations }] = spoken as [(typeof spoken)[number]];
  const frames = durations.reduce((a, b) => a + b, 0);
  const samplingRate = Number(model.config.sampling_rate ?? 16_000);
  const columns = Math.min(MAX_COLUMNS, Math.max(1, frames));
  const values = new Float32Array(ids.length * columns);
  let start = 0;
  for (const [row, duration] of durations.entries()) {
    for (let frame = start; frame < start + duration; frame++)
      values[row * columns + Math.floor((frame * columns) / frames)] = 1;
    start += duration;
  }
  const spectrogram = spectrogramOf(samples, samplingRate, columns);
  return { layers, spectrogram, values, kind: 'spoken', sound: { samples, samplingRate }, frames };
}

/** A model that writes frames, and attends to the text for each step. */
async function write({ model, device }: Guest, ids: readonly number[]): Promise<Spoken> {
  const { config } = model;
  const [voice, bins, perStep] = [
    config.speaker_embedding_dim ?? 512,
    config.num_mel_bins ?? 80,
    config.reduction_factor ?? 2,
  ];
  const encoders = model.encoder?.layers.length ?? 0;
  const decoders = model.decoder?.layers.length ?? 1;
  const options = {
    speakerEmbeddings: new Float32Array(Number(voice)).fill(1),
    maxLengthRatio: STEPS_PER_TOKEN * Number(perStep),
  };
  const written: Float32Array[] = [];
  // After the encoder's layers, each step attends to the frames before it and to the text, layer by layer.
  const { layers } = await weightsOfPass(
    device,
    async () => {
      written.push(await (model as unknown as Writer).speak(ids, options));
    },
    (index) => index < encoders || (index - encoders) % 2 === 1,
  );
  const data = written[0] as Float32Array;
  const frames = data.length / Number(bins);
  const cross = layers.filter(({ layer }) => layer >= encoders);
  const stepOf = (layer: number) => Math.floor((layer - encoders) / 2 / decoders);
  const steps = 1 + stepOf(cross.at(-1)?.layer ?? encoders);
  const columns = Math.min(MAX_COLUMNS, steps);
  const columnOf = (step: number) => Math.floor((step * columns) / steps);
  const stepsOf = new Uint32Array(columns);
  for (let step = 0; step < steps; step++) stepsOf[columnOf(step)]!++;
  const values = new Float32Array(ids.length * columns);
  for (const { layer, shape, weights } of cross) {
    const heads = shape[1] as number;
    const column = columnOf(stepOf(layer));
    const share = 1 / (stepsOf[column] as number) / decoders / heads;
    for (const [at, weight] of weights.entries()) {
      const cell = (at % ids.length) * columns + column;
      values[cell] = (values[cell] as number) + weight * share;
    }
  }
  const spectrogram = drawn(data, Number(bins), columns);
  return {
    layers: layers.filter(({ layer }) => layer < encoders),
    spectrogram,
    values,
    kind: 'written',
    sound: null,
    frames,
  };
}

/** Milliseconds of a frame of SpeechT5's spectrograms. */
const FRAME = 16;
const MAX_BANDS = 24;

/** A written spectrogram, [frames, bins], in few bands and columns; high tones first. */
function drawn(data: Float32Array, bins: number, columns: number): Spectrogram {
  const frames = data.length / bins;
  const bands = Math.min(MAX_BANDS, bins);
  const sums = new Float32Array(bands * columns);
  const counts = new Float32Array(bands * columns);
  for (const [i, value] of data.entries()) {
    const band = bands - 1 - Math.floor(((i % bins) * bands) / bins);
    const at = band * columns + Math.floor((Math.floor(i / bins) * columns) / frames);
    sums[at] = (sums[at] as number) + value;
    counts[at] = (counts[at] as number) + 1;
  }
  const means = sums.map((sum, i) => sum / (counts[i] as number));
  const [least, most] = [means.reduce((a, b) => Math.min(a, b)), means.reduce((a, b) => Math.max(a, b))];
  return {
    bands: Array.from({ length: bands }, (_, i) => `mel ${Math.floor(((bands - 1 - i) * bins) / bands) + 1}`),
    times: Array.from({ length: columns }, (_, i) => `${((i * frames * FRAME) / columns / 1000).toFixed(1)} s`),
    values: means.map((mean) => (mean - least) / (most - least || 1)),
  };
}
