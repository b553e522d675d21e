// A device in a worker thread. On request it runs the smaller encoder for some seconds, and answers with passes per
// second.
import { parentPort, workerData } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

register(); // workers do not inherit it
const { createDevice } = await import('../../src/index.ts');
const { encoderSizes, makeEncoder, recordEncoder } = await import('./encoders.ts');

const device = await createDevice({ threads: workerData.threads });
const model = makeEncoder(device, encoderSizes['6 × 384']);
const { program } = recordEncoder(device, model, [1, 128]);

parentPort.on('message', ({ seconds }) => {
  let passes = 0;
  const start = performance.now();
  const end = start + 1e3 * seconds;
  for (; performance.now() < end; passes++) {
    program.run();
    device.flushSync();
  }
  parentPort.postMessage(passes / ((performance.now() - start) / 1e3));
});
parentPort.postMessage('ready');
