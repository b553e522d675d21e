// A worker that finds out soon when another was killed: `worker.ts URL QUEUE`.

import { createWorker, transformerTask } from '../../src/bulk/index.js';
import { createDevice, Transformer } from '../../src/index.js';

const [redis, queue] = process.argv.slice(2) as [string, string];
const model = await Transformer.load(await createDevice({ threads: 1 }), 'models/g2p-en');
const worker = await createWorker({
  redis,
  queue,
  task: transformerTask(model),
  concurrency: 32,
  batchTokens: 128,
  worker: { lockDuration: 1500, stalledInterval: 500 },
});
worker.on('error', () => {}); // Redis restarts
process.on('SIGTERM', () => void worker.close().then(() => process.exit()));
console.log('ready');
