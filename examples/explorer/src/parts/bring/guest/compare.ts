// Runs CLAP on a recording and texts: how well they fit, and what each encoder attends to.
import type { Tensor } from 'simdformer';
import type { HeadWeights } from '../../look-inside/heads.js';
import { headsOfText, weightsOfPass } from './computed.js';
import { type Guess, type Guest, MAX_TOKENS } from './guest.js';
import { samplesOf } from './listen.js';
import { softmaxed } from './pass.js';
import { mapsOfLayers, type PatchMap } from './patch-map.js';
import { best, idsOf } from './read.js';

/** A recording as the model reads it, and the attention of its encoder. */
export interface HeardSound {
  readonly name: string;
  readonly seconds: number;
  readonly features: Features;
  readonly maps: readonly PatchMap[];
}

interface Features {
  /** [1, channels, frames, bins] */
  readonly data: Float32Array;
  readonly shape: readonly number[];
  readonly isLonger: readonly (readonly number[])[] | null;
}

/** Texts that were compared with a recording. */
export interface Comparison {
  readonly guesses: readonly Guess[];
  /** Attention to the tokens of the first text, layer by layer. */
  readonly heads: readonly HeadWeights[];
  readonly headsOfLayer: number;
}

interface SoundConfig {
  readonly spec_size?: number;
  readonly num_mel_bins?: number;
  readonly patch_stride?: number | readonly number[];
}

/** Throws Complaint for a file that is not a recording. */
export async function hear(guest: Guest, name: string, file: Uint8Array): Promise<HeardSound> {
  const { model, device } = guest;
  const { samples, extractor } = samplesOf(guest, file);
  const { data, shape } = extractor.process([samples]);
  const features = { data, shape, isLonger: (shape[1] as number) > 1 ? [[1]] : null };
  const { layers } = await weightsOfPass(device, () =>
    device.noGrad(() => device.scope(() => void model.forward(soundInputs(guest, features)))),
  );
  const {
    spec_size: size = 256,
    num_mel_bins: bins = 64,
    patch_stride: strides = 4,
  } = (model.config.audio_config ?? {}) as SoundConfig;
  const stride = typeof strides === 'number' ? strides : (strides[0] as number);
  const square = { side: Math.floor(size / stride), shifts: true, sections: Math.floor(size / bins) };
  const maps = mapsOfLayers(layers, square).filter(({ rows }) => Number.isInteger(rows));
  return { name, seconds: samples.length / extractor.samplingRate, features, maps };
}

function soundInputs({ device }: Guest, { data, shape, isLonger }: Features) {
  return { inputFeatures: device.tensor(data, shape), ...(isLonger && { isLonger }) };
}

/** Compares the texts, one in each line, with the recording. Throws Complaint for a text that cannot be read. */
export async function compare(guest: Guest, sound: HeardSound, lines: string): Promise<Comparison> {
  const { model, device } = guest;
  const given = lines.split('\n').filter((line) => line.trim() !== '');
  const texts = given.length > 0 ? given : [lines];
  const ids = texts.map((text) => idsOf(guest, text).slice(0, MAX_TOKENS));
  const reading = device.noGrad(() =>
    device.scope(() => {
      const inputs = soundInputs(guest, sound.features);
      // Each text is read alone, so that none needs padding.
      return ids.map((row) => {
        const { logitsPerAudio } = model.forward({ inputIds: [row], ...inputs }) as { logitsPerAudio: Tensor };
        return logitsPerAudio.data() as Promise<Float32Array>;
      });
    }),
  );
  const logits = Float32Array.from((await Promise.all(reading)).map((values) => values[0] as number));
  const probabilities = softmaxed({ shape: [1, logits.length], data: logits }).data;
  const { layers } = await weightsOfPass(device, () =>
    device.noGrad(() => device.scope(() => void model.forward({ inputIds: [ids[0] as number[]] }))),
  );
  const names = guest.tokens(ids[0] as number[]).map(({ name }) => name);
  return {
    guesses: best(probabilities, (i) => (texts[i] as string).trim()),
    heads: headsOfText(layers, names),
    headsOfLayer: layers[0]?.shape[1] ?? 1,
  };
}
