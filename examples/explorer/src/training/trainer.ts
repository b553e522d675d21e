import { batch, type Signal, signal } from '@preact/signals';
import { createDevice, type Device, Transformer } from 'simdformer';
import type { Point } from '../draw/line-chart.js';
import { encodeWord, type Files, type Model } from '../model.js';
import { saveFiles } from '../save-files.js';
import type { Session } from '../session.js';
import { Course, newModel, type Settings } from './course.js';
import type { Lesson } from './lesson.js';
import { type Attempt, measure, type OwnWord } from './measure.js';

const MEASURE_EVERY = 50;
/** Milliseconds between two updates of the curves. */
const SHOW_EVERY = 250;

export type Phase = 'idle' | 'preparing' | 'training' | 'pausing' | 'paused';

/** Progress of the training. */
export interface Report {
  readonly step: number;
  readonly losses: readonly Point[];
  /** Fraction of test words with a wrong answer. */
  readonly errors: readonly Point[];
  readonly attempts: readonly Attempt[];
  /** Examples per second. */
  readonly speed: number;
  readonly parameters: number;
}

const NOTHING: Report = { step: 0, losses: [], errors: [], attempts: [], speed: 0, parameters: 0 };

/** Trains a model on a separate device, so that the other parts of the page keep working. */
export class Trainer {
  readonly phase: Signal<Phase> = signal('idle');
  readonly report: Signal<Report> = signal(NOTHING);
  readonly learningRate = signal(2e-3);
  /** True if the other parts of the page show the model as it learns. */
  readonly shared = signal(false);
  #device: Device | null = null;
  #course: Course | null = null;
  #stop = new AbortController();
  #losses: Point[] = [];
  #lastShown = 0;
  #savedStep = 0;

  constructor(private readonly session: Session) {
    // Closing the page discards the trained weights, so the browser asks first.
    addEventListener('beforeunload', (event) => {
      if (this.report.value.step > this.#savedStep) event.preventDefault();
    });
  }

  /** Begins with a new or a saved model. Does nothing if it has already begun, because users may click twice. */
  async start(prepare: () => Promise<{ lesson: Lesson; from: Settings | Files }>): Promise<void> {
    if (this.phase.value !== 'idle') return;
    this.phase.value = 'preparing';
    try {
      const { lesson, from } = await prepare();
      this.#device ??= await openTrainingDevice();
      const model = await pupil(this.#device, lesson, from);
      this.#course = new Course(model, lesson);
      const parameters = model.transformer.parameters().reduce((sum, { size }) => sum + size, 0);
      this.report.value = { ...NOTHING, parameters };
      await this.#measure(0);
    } catch (error) {
      this.reset();
      throw error;
    }
    await this.resume();
  }

  /** Trains until `pause`. */
  async resume(): Promise<void> {
    const course = this.#course as Course;
    this.#stop = new AbortController();
    this.phase.value = 'training';
    try {
      await course.train({
        learningRate: () => this.learningRate.value,
        signal: this.#stop.signal,
        onStep: (step, loss, speed) => {
          this.#losses.push([step, loss]);
          if (performance.now() - this.#lastShown > SHOW_EVERY) this.#show(speed ?? this.report.value.speed);
        },
        validate: (step) => this.#measure(step),
        validateEvery: MEASURE_EVERY,
      });
    } finally {
      this.#show(this.report.value.speed);
      this.phase.value = 'paused';
    }
  }

  pause(): void {
    this.phase.value = 'pausing';
    this.#stop.abort();
  }

  /** Discards the model. Call it only while no training runs. */
  reset(): void {
    this.#course?.dispose();
    this.#course = null;
    this.#losses = [];
    this.#savedStep = 0;
    batch(() => {
      this.report.value = NOTHING;
      this.phase.value = 'idle';
    });
  }

  /** Lets the browser save the current model. */
  async save(): Promise<void> {
    const { step } = this.report.value;
    saveFiles(await this.#files());
    this.#savedStep = step;
  }

  /** Gives the model to all parts of the page. */
  async share(): Promise<void> {
    const { step } = this.report.value;
    await this.session.open(`the model after ${step} steps`, await this.#files());
  }

  /** The model's current outputs for test words. */
  async #measure(step: number): Promise<Record<string, number>> {
    const { model, lesson } = this.#course as Course;
    const { errors, attempts: before } = this.report.value;
    const { wordError, attempts } = await measure(model, lesson, this.#ownWord(model), before, step);
    this.report.value = { ...this.report.value, step, errors: [...errors, [step, wordError]], attempts };
    if (this.shared.value) this.share().catch((error) => this.session.report(error));
    return { wordError };
  }

  /** The word at the top of the page, if the model can read it. */
  #ownWord(model: Model): OwnWord | null {
    const word = this.session.word.value.trim();
    try {
      return { word, ids: encodeWord(model, word) };
    } catch {
      return null;
    }
  }

  #files(): Promise<Files> {
    return (this.#course as Course).model.transformer.toFiles();
  }

  #show(speed: number): void {
    this.#lastShown = performance.now();
    const step = this.#losses.at(-1)?.[0] ?? 0;
    this.report.value = { ...this.report.value, step, speed, losses: thin(this.#losses) };
  }
}

/** Opens a device in a worker, like the page's own. One core is left to the page. */
export function openTrainingDevice(): Promise<Device> {
  const threads = globalThis.crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1;
  return createDevice({ backend: 'wasm', worker: true, threads });
}

async function pupil(device: Device, lesson: Lesson, from: Settings | Files): Promise<Model> {
  if (isSettings(from)) return newModel(device, lesson, from);
  const { source, target } = lesson;
  return { name: 'pupil', transformer: await Transformer.fromFiles(device, from), source, target, readsText: false };
}

function isSettings(from: Settings | Files): from is Settings {
  return 'size' in from;
}

/** Reduces points to some hundreds by averaging adjacent ones, because a chart has no space for more. */
function thin(points: readonly Point[]): Point[] {
  const size = Math.max(1, Math.ceil(points.length / 300));
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    return [(part.at(-1) as Point)[0], part.reduce((sum, [, loss]) => sum + loss, 0) / part.length] as const;
  });
}

const trainers = new WeakMap<Session, Trainer>();

/** Returns the session's trainer, which continues while other parts are shown. */
export function trainerOf(session: Session): Trainer {
  const known = trainers.get(session) ?? new Trainer(session);
  trainers.set(session, known);
  return known;
}
