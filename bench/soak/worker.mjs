// A worker thread of the soak. It runs jobs by name on its own device, which it makes anew when told.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { register } from 'tsx/esm/api';

register(); // workers do not inherit it
const { createDevice } = await import('../../src/index.ts');
const { run } = await import('./jobs.ts');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

let device = await createDevice(workerData);

const answers = {
  run: ({ name }) => run(name, device),
  async renew() {
    device.dispose();
    device = await createDevice(workerData);
  },
  // Returns bytes of tensors, of which none should be left, and of the heap after a garbage collection.
  rest() {
    collect();
    return { tensors: device.memory().used, heap: process.memoryUsage().heapUsed };
  },
};

parentPort.on('message', async ({ ask, ...question }) => {
  try {
    parentPort.postMessage({ answer: await answers[ask](question) });
  } catch (error) {
    parentPort.postMessage({ error: `${error.stack ?? error}` });
  }
});
parentPort.postMessage({ answer: 'ready' });
