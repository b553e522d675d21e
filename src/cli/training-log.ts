import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { isObject } from '../core/check.js';
import { type Curve, curvesSvg } from '../inspect/svg.js';
import { withPath } from '../io/atomic-write.js';
import type { FitResult, Progress, Validation } from '../train/fit.js';

/** A line of the log: a step, or a validation after it. */
type Entry = { step: number; loss: number; learningRate: number; seconds: number } | Validation;

/** Points of a curve; more cannot be told apart. */
const POINTS = 600;

/**
 * What a training run went through, a line of JSON for each step and validation, written as they come: whatever ends
 * the program, the file is there. A run that goes on from a checkpoint goes on with its log.
 */
export class TrainingLog {
  #entries: Entry[] = [];
  #begun = false;
  #error: unknown;

  /** `failed` is called when the file cannot be written, once. */
  constructor(
    private readonly path: string,
    private readonly failed: () => void,
  ) {}

  onStep({ step, loss, learningRate, seconds }: Progress): void {
    this.#begin(step);
    this.#add({ step, loss, learningRate, seconds });
  }

  onValidation(validation: Validation): void {
    // The first that a run does where it was killed between its last checkpoint and its end.
    const isOfAverage = isAverage(validation);
    this.#begin(validation.step, (entry) => 'loss' in entry || (isOfAverage && !isAverage(entry)));
    this.#add(validation);
  }

  /** Writes which weights the run has ended with: the log's last line. */
  onEnd({ step, weights }: Pick<FitResult, 'step' | 'weights'>): void {
    this.#write(() => appendFileSync(this.path, `${JSON.stringify({ step, saved: weights })}\n`));
  }

  /** Throws the error that kept the log from being written. */
  check(): void {
    if (this.#error !== undefined) throw this.#error;
  }

  /**
   * Training loss, each point the mean of its neighbours, and all that validations measured; undefined without a step.
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
   * Cuts an earlier log short, which needs no space on the disk, to what came before the first step of this run, and
   * what of that step `precedes`.
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

  /** A disk that is full must not end a step half way: `failed` can stop the run in order. */
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
   * The entries of an earlier run for as long as `isKept`, and the bytes up to the end of the last one. Lines that are no
   * entries, as one that a full disk cut short, are passed over.
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
  if (!line.endsWith('\n')) return undefined; // what is written next would be in it
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
