// Digits spoken by espeak-ng, as features of Parakeet.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../src/core/random.js';
import { ParakeetFeatureExtractor } from '../../src/pretrained/processors/filter-banks.js';
import { resample } from '../../src/pretrained/processors/resample.js';
import { mixDown, readWav } from '../../src/pretrained/processors/wav.js';

const LANGUAGES = {
  english: {
    words: ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'],
    voices: ['en-us', 'en-gb', 'en-gb-scotland', 'en-gb-x-rp'],
  },
  german: {
    words: ['null', 'eins', 'zwei', 'drei', 'vier', 'fünf', 'sechs', 'sieben', 'acht', 'neun'],
    voices: ['de'],
  },
};
export type Language = keyof typeof LANGUAGES;
const SPEAKERS = ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'f1', 'f2', 'f3', 'f4'];

/** Numbers of each column of the spectrogram. */
export const BINS = 40;

export interface Utterance {
  /** The spectrogram, [columns, BINS] row by row. */
  readonly features: Float32Array;
  readonly columns: number;
  readonly digits: readonly number[];
}

/** Speaks `count` sequences of two to six digits. Voice, speed and pitch are random. */
export function spokenDigits(count: number, seed: number, language: Language = 'english'): Utterance[] {
  const { words, voices } = LANGUAGES[language];
  const random = new Random(seed);
  const extractor = new ParakeetFeatureExtractor({ feature_size: BINS });
  const folder = mkdtempSync(join(tmpdir(), 'digits-'));
  const file = join(folder, 'spoken.wav');
  const one = <T>(of: readonly T[]) => of[random.below(of.length)] as T;
  try {
    return Array.from({ length: count }, () => {
      const digits = Array.from({ length: 2 + random.below(5) }, () => random.below(10));
      const voice = `${one(voices)}+${one(SPEAKERS)}`;
      const [speed, pitch] = [130 + random.below(70), 30 + random.below(40)].map(String) as [string, string];
      const text = digits.map((digit) => words[digit]).join(' ');
      const run = spawnSync('espeak-ng', ['-v', voice, '-s', speed, '-p', pitch, '-w', file, text]);
      if (run.status !== 0) throw new Error(`espeak-ng failed: ${run.error?.message ?? run.stderr}`);
      const recording = readWav(readFileSync(file));
      const { data, shape } = extractor.process([resample(mixDown(recording), recording.samplingRate, 16000)]);
      return { features: data, columns: shape[1] as number, digits };
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
