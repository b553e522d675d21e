// A device of its own in a worker thread, which runs the smaller encoder whenever it is told for how long.

import { parentPort, workerData } from 'node:worker_threads';
import { createDevice } from '../../src/index.js';
import { encoderSizes, makeEncoder, recordEncoder } from './encoders.js';

const device = await createDevice({ threads: workerData.threads });
const model = makeEncoder(device, encoderSizes['6 × 384']);
const { program } = recordEncoder(device, model, [1, 128]);

parentPort?.on('message', ({ seconds }: { seconds: number }) => {
  let passes = 0;
  const start = performance.now();
  const end = start + 1e3 * seconds;
  for (; performance.now() < end; passes++) {
    program.run();
    device.flushSync();
  }
  parentPort?.postMessage(passes / ((performance.now() - start) / 1e3));
});
parentPort?.postMessage('ready');
