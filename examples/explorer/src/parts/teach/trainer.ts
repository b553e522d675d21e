import { batch, type Signal, signal } from '@preact/signals';
import {
  AdamW,
  type Batches,
  createDevice,
  type Device,
  fit,
  lengthBatches,
  Transformer,
  type TransformerOptions,
} from 'simdformer';
import type { Point } from '../../draw/line-chart.js';
import { Complaint, encodeWord, type Files, type Model } from '../../model.js';
import type { Session } from '../../session.js';
import { examplesOf, type Lesson, LONGEST } from './lesson.js';
import { type Attempt, measure, type OwnWord } from './measure.js';

/** What a new model is to be like. */
export interface Settings {
  readonly size: keyof typeof SIZES;
  readonly positions: 'sinusoidal' | 'learned' | 'relativeBias' | 'shaw';
}

export const SIZES = {
  small: { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, dFF: 128 },
  medium: { dModel: 64, heads: 4, encoderLayers: 2, decoderLayers: 2, dFF: 256 },
  large: { dModel: 128, heads: 4, encoderLayers: 3, decoderLayers: 3, dFF: 512 },
} as const satisfies Record<string, Partial<TransformerOptions>>;

const BATCH_TOKENS = 1024;
const MEASURE_EVERY = 50;
const WARMUP = 50;
/** Milliseconds between two looks at the curves. */
const SHOW_EVERY = 250;

export type Phase = 'idle' | 'preparing' | 'training' | 'pausing' | 'paused';

/** How far the training came. */
export interface Report {
  readonly step: number;
  readonly losses: readonly Point[];
  /** Share of test words that are not right. */
  readonly errors: readonly Point[];
  readonly attempts: readonly Attempt[];
  /** Examples in a second. */
  readonly speed: number;
  readonly parameters: number;
}

const NOTHING: Report = { step: 0, losses: [], errors: [], attempts: [], speed: 0, parameters: 0 };

/** A model in training, with all that a pause must keep. */
interface Course {
  readonly model: Model;
  readonly lesson: Lesson;
  readonly batches: Batches;
  readonly optimizer: AdamW;
}

/** Trains a model on a device of its own, so that the rest of the page goes on with another. */
export class Trainer {
  readonly phase: Signal<Phase> = signal('idle');
  readonly report: Signal<Report> = signal(NOTHING);
  readonly learningRate = signal(2e-3);
  /** Whether the other parts of the page show the model as it learns. */
  readonly shared = signal(false);
  #device: Device | null = null;
  #course: Course | null = null;
  #stop = new AbortController();
  #losses: Point[] = [];
  #lastShown = 0;

  constructor(private readonly session: Session) {}

  /** Begins with a new model, or with one that was saved. */
  async start(lesson: Lesson, from: Settings | Files): Promise<void> {
    this.#discard();
    this.phase.value = 'preparing';
    try {
      // One core is left to the page.
      const threads = globalThis.crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;
      this.#device ??= await createDevice({ backend: 'wasm', worker: true, threads });
      const model = await this.#model(this.#device, lesson, from);
      const optimizer = new AdamW(model.transformer.parameters(), { beta2: 0.98, weightDecay: 0 });
      const batches = lengthBatches(examplesOf(lesson), { tokens: BATCH_TOKENS });
      this.#course = { model, lesson, batches, optimizer };
      const parameters = model.transformer.parameters().reduce((sum, { size }) => sum + size, 0);
      this.report.value = { ...NOTHING, parameters };
      await this.#measure(0);
    } catch (error) {
      this.#discard();
      throw error;
    }
    await this.resume();
  }

  /** Trains until `pause`. */
  async resume(): Promise<void> {
    const course = this.#course as Course;
    const { model, batches, optimizer } = course;
    const { step: done, speed: before } = this.report.value;
    this.#stop = new AbortController();
    this.phase.value = 'training';
    try {
      await fit(model.transformer, from(batches, done), {
        optimizer,
        steps: Number.MAX_SAFE_INTEGER,
        schedule: (step) => this.learningRate.value * Math.min(1, (done + step) / WARMUP),
        seed: done,
        signal: this.#stop.signal,
        onStep: ({ step, loss, examples, seconds }) => {
          if (!Number.isFinite(loss))
            throw new Complaint('The loss is no number any more. Lower the learning rate and start over.');
          this.#losses.push([done + step, loss]);
          this.#show(done + step, seconds > 1 ? examples / seconds : before);
        },
        validate: (step) => this.#measure(done + step),
        validateEvery: MEASURE_EVERY,
      });
    } finally {
      if (this.#course === course) this.phase.value = 'paused';
      this.#lastShown = 0;
      this.#show(this.#losses.at(-1)?.[0] ?? 0, this.report.value.speed);
    }
  }

  pause(): void {
    this.phase.value = 'pausing';
    this.#stop.abort();
  }

  /** Forgets the model and what it learnt. Only while nothing is under way. */
  reset(): void {
    this.#discard();
  }

  /** The model as files, to be saved or shown elsewhere. */
  files(): Promise<Files> {
    return (this.#course as Course).model.transformer.toFiles();
  }

  /** Gives the model to all parts of the page. */
  async share(): Promise<void> {
    await this.session.open(`the model after ${this.report.value.step} steps`, await this.files());
  }

  async #model(device: Device, lesson: Lesson, from: Settings | Files): Promise<Model> {
    const { source, target } = lesson;
    const transformer = isSettings(from)
      ? new Transformer(device, {
          ...SIZES[from.size],
          ...{ norm: 'pre', positions: from.positions, dropout: 0.1, maxLength: LONGEST + 2 },
          ...{ sourceVocab: source.vocabSize, targetVocab: target.vocabSize },
        })
      : await Transformer.fromFiles(device, from);
    transformer.tokenizers = { source, target };
    return { name: 'a pupil', transformer, source, target };
  }

  /** What the model makes of test words now. */
  async #measure(step: number): Promise<Record<string, number>> {
    const { model, lesson } = this.#course as Course;
    const { errors, attempts } = this.report.value;
    const measured = await measure(model, lesson, this.#readableWord(model), attempts, step);
    this.report.value = {
      ...this.report.value,
      errors: [...errors, [step, measured.wordError]],
      attempts: measured.attempts,
    };
    if (this.shared.value) this.share().catch((error) => this.session.report(error));
    return { wordError: measured.wordError };
  }

  /** The word at the top of the page, if the model can read it. */
  #readableWord(model: Model): OwnWord | null {
    const word = this.session.word.value.trim();
    try {
      return { word, ids: encodeWord(model, word) };
    } catch {
      return null;
    }
  }

  #show(step: number, speed: number): void {
    if (performance.now() - this.#lastShown < SHOW_EVERY) return;
    this.#lastShown = performance.now();
    this.report.value = { ...this.report.value, step, speed, losses: thin(this.#losses) };
  }

  #discard(): void {
    this.#course?.optimizer.dispose();
    this.#course?.model.transformer.dispose();
    this.#course = null;
    this.#losses = [];
    this.#lastShown = 0;
    batch(() => {
      this.report.value = NOTHING;
      this.phase.value = 'idle';
    });
  }
}

function isSettings(from: Settings | Files): from is Settings {
  return 'size' in from;
}

/** The batches that follow the first `done`. */
function from(batches: Batches, done: number): Batches {
  return { perEpoch: batches.perEpoch, batch: (n) => batches.batch(n + done) };
}

/** At most some hundred points: means of neighbours, for a chart has no room for more. */
function thin(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / 300);
  return Array.from({ length: Math.ceil(points.length / size) || 0 }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [(part.at(-1) as Point)[0], part.reduce((sum, [, loss]) => sum + loss, 0) / part.length] as const;
  });
}

const trainers = new WeakMap<Session, Trainer>();

/** The session's trainer, which goes on while other parts are shown. */
export function trainerOf(session: Session): Trainer {
  const known = trainers.get(session) ?? new Trainer(session);
  trainers.set(session, known);
  return known;
}
