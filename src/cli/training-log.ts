import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isObject } from '../core/check.js';
import { type Curve, curvesSvg } from '../inspect/svg.js';
import { withPath } from '../io/atomic-write.js';
import type { FitResult, Progress, Validation } from '../train/fit.js';
import { writeWhole } from './whole-file.js';

/** A line of the log: a step, or a validation after it. */
type Entry = { step: number; loss: number; learningRate: number; seconds: number } | Validation;

/** Number of points of a curve. More would be indistinguishable. */
const POINTS = 600;

/**
 * Log of a training: one line of JSON per step and validation, written immediately, so that it survives any end of the
 * program. A resumed run continues the log.
 */
export class TrainingLog {
  #entries: Entry[] = [];
  #begun = false;
  #error: unknown;

  /** `failed` is called once if the file cannot be written. */
  constructor(
    private readonly path: string,
    private readonly failed: () => void,
  ) {}

  onStep({ step, loss, learningRate, seconds }: Progress): void {
    this.#begin(step);
    this.#add({ step, loss, learningRate, seconds });
  }

  onValidation(validation: Validation): void {
    // If a run was killed between its last checkpoint and its end, this is the first entry of the resumed run.
    const isOfAverage = isAverage(validation);
    this.#begin(validation.step, (entry) => 'loss' in entry || (isOfAverage && !isAverage(entry)));
    this.#add(validation);
  }

  /**
   * Writes the last line of the log, which weights the run ended with, and draws the curves. Rejects with the error that
   * prevented writing the log.
   */
  async end({ step, weights }: Pick<FitResult, 'step' | 'weights'>): Promise<void> {
    this.#write(() => appendFileSync(this.path, `${JSON.stringify({ step, saved: weights })}\n`));
    if (this.#error !== undefined) throw this.#error;
    await this.draw();
  }

  /** Writes the curves to the file loss.svg beside the log. */
  async draw(): Promise<void> {
    const curves = this.curves();
    if (curves !== undefined) await writeWhole(join(dirname(this.path), 'loss.svg'), curves);
  }

  /**
   * Curves of the training loss, smoothed over neighbouring steps, and of all validation metrics. Undefined without a
   * step.
   */
  curves(): string | undefined {
    const entries = this.#begun ? this.#entries : this.#read().entries;
    const losses = entries.flatMap((entry) =>
      'loss' in entry ? [[entry.step, entry.loss ?? Number.NaN] as const] : [],
    );
    if (losses.length === 0) return undefined;
    const validations = entries.flatMap((entry) => ('metrics' in entry && !isAverage(entry) ? [entry] : []));
    const names = new Set(validations.flatMap(({ metrics }) => Object.keys(metrics)));
    const curves: Curve[] = [{ name: 'training loss', points: means(losses) }];
    for (const name of names) {
      const points = validations.map(({ step, metrics }) => [step, metrics[name] ?? Number.NaN] as const);
      curves.push({ name: `validation ${name}`, points });
    }
    return curvesSvg(curves, { x: 'step', y: 'loss' });
  }

  /**
   * Truncates an earlier log before the first step of this run, which needs no disk space. Entries of that step stay if
   * `precedes` is true.
   */
  #begin(first: number, precedes: (entry: Entry) => boolean = () => false): void {
    if (this.#begun) return;
    this.#begun = true;
    const isEarlier = (entry: Entry) => entry.step < first || (entry.step === first && precedes(entry));
    const { entries, size } = first > 1 ? this.#read(isEarlier) : { entries: [], size: 0 };
    this.#entries = entries;
    this.#write(() => {
      if (size === 0) writeFileSync(this.path, '');
      else truncateSync(this.path, size);
    });
  }

  #add(entry: Entry): void {
    this.#entries.push(entry);
    this.#write(() => appendFileSync(this.path, lineOf(entry)));
  }

  /** A full disk must not interrupt a step. `failed` can stop the run in an orderly way. */
  #write(write: () => void): void {
    if (this.#error !== undefined) return;
    try {
      write();
    } catch (error) {
      this.#error = withPath(error, this.path);
      this.failed();
    }
  }

  /**
   * Reads the entries of an earlier run while `isKept`, and the byte offset after the last of them. Invalid lines are
   * skipped, such as one that a full disk cut short.
   */
  #read(isKept: (entry: Entry) => boolean = () => true): { entries: Entry[]; size: number } {
    const entries: Entry[] = [];
    let size = 0;
    if (!existsSync(this.path)) return { entries, size };
    let read = 0;
    for (const line of readFileSync(this.path, 'latin1').split(/(?<=\n)/)) {
      read += line.length; // bytes, in latin1
      const entry = parseLine(line);
      if (entry === undefined) continue;
      if (!isKept(entry)) break;
      entries.push(entry);
      size = read;
    }
    return { entries, size };
  }
}

/** True for the validation of an average of weights. */
const isAverage = (entry: Entry) => 'averageIsKept' in entry;

function parseLine(line: string): Entry | undefined {
  if (!line.endsWith('\n')) return undefined; // truncated: the next line would be appended to it
  try {
    const entry: unknown = JSON.parse(line);
    const { step, loss, metrics } = Object(entry);
    const isEntry = typeof step === 'number' && (loss !== undefined || isObject(metrics));
    return isEntry ? (entry as Entry) : undefined;
  } catch {
    return undefined;
  }
}

function lineOf(entry: Entry): string {
  return `${JSON.stringify(entry)}\n`;
}

function means(points: readonly (readonly [number, number])[]): [number, number][] {
  const size = Math.ceil(points.length / POINTS);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const part = points.slice(i * size, (i + 1) * size);
    const mean = (axis: 0 | 1) => part.reduce((sum, point) => sum + point[axis], 0) / part.length;
    return [mean(0), mean(1)];
  });
}
