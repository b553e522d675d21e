import { AdamW, type Device, fit, Transformer, type TransformerOptions } from 'simdformer';
import { type Batches, lengthBatches } from 'simdformer/train';
import { Complaint, type Model } from '../model.js';
import { examplesOf, type Lesson, MAX_LETTERS } from './lesson.js';

/** Settings of a new model. */
export interface Settings {
  readonly size: keyof typeof SIZES;
  readonly positions: 'sinusoidal' | 'learned' | 'relativeBias' | 'shaw';
}

const SIZES = {
  small: { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, dFF: 128 },
  medium: { dModel: 64, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 256 },
  large: { dModel: 128, heads: 4, encoderLayers: 3, decoderLayers: 3, dFF: 512 },
} as const satisfies Record<string, Partial<TransformerOptions>>;

/** Larger distances between letters share one entry. */
const MAX_DISTANCE = 8;
const BATCH_TOKENS = 1024;
const WARMUP = 50;

/** Makes an untrained model for the letters and sounds of a lesson. */
export function newModel(device: Device, lesson: Lesson, { size, positions: kind }: Settings): Model {
  const { source, target } = lesson;
  const transformer = new Transformer(device, {
    ...SIZES[size],
    norm: 'pre',
    positions: { kind, maxDistance: MAX_DISTANCE },
    dropout: 0.1,
    maxLength: MAX_LETTERS + 2,
    sourceVocab: source.vocabSize,
    targetVocab: target.vocabSize,
  });
  transformer.tokenizers = { source, target };
  return { name: 'new model', transformer, source, target, readsText: false };
}

interface Stretch {
  /** Returns the learning rate; called at each step. */
  readonly learningRate: () => number;
  /** Default: until `signal` ends it. */
  readonly steps?: number;
  readonly signal?: AbortSignal;
  readonly onStep?: (step: number, loss: number, examplesPerSecond: number | null) => void;
  readonly validate?: (step: number) => Promise<Record<string, number>>;
  readonly validateEvery?: number;
}

/** Trains a model on a lesson in several stretches. Each continues where the previous one ended. */
export class Course {
  readonly #batches: Batches;
  readonly #optimizer: AdamW;
  #step = 0;

  constructor(
    readonly model: Model,
    readonly lesson: Lesson,
  ) {
    this.#batches = lengthBatches(examplesOf(lesson), { tokens: BATCH_TOKENS });
    this.#optimizer = new AdamW(model.transformer.parameters(), { beta2: 0.98, weightDecay: 0 });
  }

  async train({ learningRate, steps, signal, onStep, validate, validateEvery }: Stretch): Promise<void> {
    const done = this.#step;
    const following: Batches = {
      perEpoch: this.#batches.perEpoch,
      batch: (n) => this.#batches.batch(n + done),
    };
    await fit(this.model.transformer, following, {
      optimizer: this.#optimizer,
      steps: steps ?? Number.MAX_SAFE_INTEGER,
      schedule: (step) => learningRate() * Math.min(1, (done + step) / WARMUP),
      seed: done,
      signal,
      validateEvery,
      validate: validate && ((step) => validate(done + step)),
      onStep: ({ step, loss, examples, seconds }) => {
        if (!Number.isFinite(loss)) {
          throw new Complaint('The loss is not a number any more. Lower the learning rate and start again.');
        }
        this.#step = done + step;
        onStep?.(done + step, loss, seconds > 1 ? examples / seconds : null);
      },
    });
  }

  dispose(): void {
    this.#optimizer.dispose();
    this.model.transformer.dispose();
  }
}
