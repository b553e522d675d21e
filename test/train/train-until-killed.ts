// Trains and writes a checkpoint after every step, until checkpoint.test.ts kills this process. Prints a line with the step
// and its loss for each step.

import { createDevice } from '../../src/core/create-device.js';
import { fit } from '../../src/train/fit.js';
import { constant } from '../../src/train/schedule.js';
import { reversals, smallModel } from './task.js';

const device = await createDevice({ threads: 1 });
await fit(smallModel(device), reversals(400), {
  batchTokens: 300,
  schedule: constant(3e-3),
  labelSmoothing: 0.1,
  seed: 5,
  steps: 100_000,
  checkpoint: process.argv[2],
  checkpointEvery: 1,
  resume: true,
  // A step is reported before its checkpoint is written, and after that of the step before the last.
  onStep: ({ step, loss }) => void process.stdout.write(`${step} ${loss}\n`),
});
