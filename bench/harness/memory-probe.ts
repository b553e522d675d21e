// Loads a GGUF file in a process of its own, and writes until there are `context` tokens. Prints the maximum growth of
// the process and the size of its cache in bytes, then the seconds until the model was ready. Call: memory-probe.ts
// <file> <threads> <context>

import { readFileSync } from 'node:fs';
import { createDevice } from '../../src/index.js';
import { TokenBatch } from '../../src/nn/index.js';
import { loadModel } from '../../src/pretrained/index.js';

const [file, threads, context] = process.argv.slice(2) as [string, string, string];
const device = await createDevice({ threads: Number(threads) });
// A first small run, so that Node has allocated its own memory before.
device.scope(() => TokenBatch.from(device, 'probe', [Int32Array.of(1)], null));
await device.flush();
const before = peakBytes();
const start = performance.now();
const model = await loadModel(device, file);
const seconds = (performance.now() - start) / 1e3;
const specs = model.decoder?.cacheSpecs() ?? [];
const prompt = Array.from({ length: 32 }, (_, i) => 100 + i);
const count = Number(context) - prompt.length;
await model.generate([prompt], { maxNewTokens: count, minNewTokens: count, doSample: false });
const grown = peakBytes() - before;
const cache = 4 * Number(context) * specs.reduce((sum, { width }) => sum + width, 0);
console.log(JSON.stringify({ grown, cache, seconds }));

/** Returns the peak memory of this process. `resourceUsage` would include that of the parent process. */
function peakBytes(): number {
  return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
}
