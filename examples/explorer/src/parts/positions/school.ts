import { batch, type Signal, signal } from '@preact/signals';
import type { Tensor } from 'simdformer';
import type { Model } from '../../model.js';
import type { Session } from '../../session.js';
import { Course, newModel } from '../../training/course.js';
import { builtInPairs, lessonOf } from '../../training/lesson.js';
import { openTrainingDevice } from '../../training/trainer.js';

export const KINDS = ['learned', 'relativeBias', 'shaw'] as const;
export type Kind = (typeof KINDS)[number];

/** A model's learned positions: a table and its origin. */
export interface Learned {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
  /** Steps of training; null for a model that was brought. */
  readonly steps: number | null;
}

const STRETCH = 20;
const MAX_STEPS = 600;
const LEARNING_RATE = 4e-3;

/** Three small models that differ only in their position encoding, and learn the same words side by side. */
export class School {
  readonly learned: Record<Kind, Signal<Learned | null>> = {
    learned: signal(null),
    relativeBias: signal(null),
    shaw: signal(null),
  };
  readonly step = signal(0);
  readonly running = signal(false);
  readonly done = signal(false);
  #opening: Promise<void> | null = null;
  #learning: Promise<void> | null = null;
  readonly #courses = new Map<Kind, Course>();

  /** Makes the untrained models at the first call. */
  open(): Promise<void> {
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  /** Trains all three models in turn, until `stop` or the maximum number of steps. */
  run(): Promise<void> {
    this.running.value = true;
    // If training was just stopped, its current stretch is still running, and continues.
    this.#learning ??= this.#learn().finally(() => {
      this.#learning = null;
    });
    return this.#learning;
  }

  async #open(): Promise<void> {
    const lesson = lessonOf(await builtInPairs());
    const device = await openTrainingDevice();
    for (const kind of KINDS) {
      const course = new Course(newModel(device, lesson, { size: 'small', positions: kind }), lesson);
      this.#courses.set(kind, course);
      this.learned[kind].value = await tableOf(kind, course.model, 0);
    }
  }

  async #learn(): Promise<void> {
    try {
      await this.open();
      while (this.running.value && this.step.value < MAX_STEPS) {
        const step = this.step.value + STRETCH;
        const tables: [Kind, Learned | null][] = [];
        for (const [kind, course] of this.#courses) {
          await course.train({ steps: STRETCH, learningRate: () => LEARNING_RATE });
          tables.push([kind, await tableOf(kind, course.model, step)]);
        }
        batch(() => {
          this.step.value = step;
          for (const [kind, table] of tables) this.learned[kind].value = table;
        });
      }
      this.done.value = this.step.value >= MAX_STEPS;
    } finally {
      this.running.value = false;
    }
  }

  stop(): void {
    this.running.value = false;
  }
}

/** The learned positions of a model's encoder, if they are of this `kind`. */
export async function tableOf(kind: Kind, { transformer }: Model, steps: number | null): Promise<Learned | null> {
  const attention = transformer.encoder?.layers[0]?.selfAttentions[0];
  const tensors: Record<Kind, Tensor | null | undefined> = {
    learned: transformer.srcPositions?.weight,
    relativeBias: attention?.positionBias?.table(),
    shaw: attention?.relative?.keys,
  };
  const tensor = tensors[kind];
  if (!tensor) return null;
  const [rows, columns] = tensor.shape as [number, number];
  return { rows, columns, values: Float32Array.from(await tensor.data()), steps };
}

const schools = new WeakMap<Session, School>();

/** The session's school, which goes on while other parts are shown. */
export function schoolOf(session: Session): School {
  const known = schools.get(session) ?? new School();
  schools.set(session, known);
  return known;
}
