// A pool thread of a WebAssembly device: a worker that enters the engine over the device's memory, and stays there.
const inNode = typeof process === 'object' && process.versions?.node !== undefined;
// Named so that bundlers for browsers do not look for it.
const threads = 'node:worker_threads';
const port = inNode ? (await import(/* @vite-ignore */ /* webpackIgnore: true */ threads)).parentPort : globalThis;

port.onmessage = async ({ data: { module, memory, stack } }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  exports.__stack_pointer.value = stack; // the module's own is that of the device's thread
  port.postMessage('ready');
  exports.join();
};
