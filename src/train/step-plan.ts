import { checkNumber, isCount } from '../core/check.js';
import type { FitOptions } from './fit-options.js';
import { inverseSquareRoot, type Schedule } from './schedule.js';

/** The steps of a run. */
export interface StepPlan {
  readonly steps: number;
  readonly schedule: Schedule;
  /** Number of batches in an epoch. For a stream it is unknown at first, and not needed if `steps` is given. */
  readonly perEpoch: number;
}

/** The plan of a stream until it was read once. */
export const UNPLANNED: StepPlan = { steps: 0, schedule: () => 0, perEpoch: Number.POSITIVE_INFINITY };

/** Plans the steps of a run over `perEpoch` batches an epoch, `batches` of them a step. Throws ArgumentError. */
export function planOf(options: FitOptions, perEpoch: number, batches: number): StepPlan {
  const { epochs = 1, steps = Math.ceil((epochs * perEpoch) / batches) } = options;
  checkNumber('fit', 'the number of steps', steps, isCount, 'a positive integer');
  const warmup = Math.min(4000, Math.ceil(steps / 10));
  return { steps, schedule: options.schedule ?? inverseSquareRoot(1e-3, { warmup }), perEpoch };
}
