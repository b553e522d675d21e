// A pool thread of a WebAssembly device: a worker that enters the engine over the device's memory and stays there.
function listen(port) {
  port.onmessage = async ({ data: { module, memory, stack } }) => {
    const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
    exports.__stack_pointer.value = stack; // the module's own stack belongs to the device's thread
    exports.join();
  };
}

// No top-level await, because bundlers may make a classic script of this. The name is hidden from them.
const threads = 'node:worker_threads';
if (typeof process === 'object' && process.versions?.node !== undefined) {
  import(/* @vite-ignore */ /* webpackIgnore: true */ threads).then(({ parentPort }) => listen(parentPort));
} else {
  listen(globalThis);
}
