// One of the workers of device.test.ts: opens a device of its own, computes, and sends the result.

import { parentPort, workerData } from 'node:worker_threads';
import type { InstructionSet } from '../../src/backend/backend.js';
import { createDevice } from '../../src/index.js';
import { contiguous } from '../../src/ops/index.js';

const { isa, threads, seed } = workerData as { isa: InstructionSet; threads: number; seed: number };
const device = await createDevice({ isa, threads });
const x = device.tensor(
  Float32Array.from({ length: 6000 }, (_, i) => Math.sin(seed + i)),
  [100, 60],
);
let sum = 0;
for (let round = 0; round < 20; round++) {
  const y = device.scope(() => contiguous(x.columns(round, round + 40)));
  for (const value of await y.data()) sum += value;
  y.dispose();
}
device.dispose();
parentPort!.postMessage(sum);
