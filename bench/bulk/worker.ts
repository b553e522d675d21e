// A worker of a queue: `worker.ts URL QUEUE`. Prints a line when it is ready. Then it prints its finished jobs and its
// memory in bytes every second, without garbage under Node's --expose-gc.

import { createWorker, transformerTask } from '../../src/bulk/index.js';
import { createDevice, Transformer } from '../../src/index.js';

const [redis, queue] = process.argv.slice(2) as [string, string];
const device = await createDevice({ threads: 1 });
const task = transformerTask(await Transformer.load(device, 'models/g2p-en'));
const options = {
  redis,
  queue,
  task,
  concurrency: 512,
  batchTokens: 2048,
  worker: { lockDuration: 5000, stalledInterval: 2000 },
};
const worker = await createWorker(options);
let done = 0;
worker.on('completed', () => done++);
worker.on('error', () => {}); // Redis restarts
const tell = () => {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  console.log(JSON.stringify({ done, bytes: rss, live: heapUsed + external + device.memory().used }));
};
setInterval(tell, 1000);
process.stdout.on('error', () => process.exit()); // the starting process has ended
process.on('SIGTERM', async () => {
  await worker.close();
  tell();
  process.exit();
});
console.log('ready');
