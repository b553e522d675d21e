// A pool thread of a WebAssembly device: a worker that instantiates the engine over the device's memory and runs its
// jobs. The device dismisses it for a moment to add a part of the kernels. The messages come from the thread that started
// this worker, or through a port that it sends.
let core;
let memory;

async function enter({ module, memory: given, stack, part, tableSize, callersStack, dismissals = 0 }) {
  if (part === undefined) {
    memory = given;
    core = (await WebAssembly.instantiate(module, { env: { memory } })).exports;
    core.__stack_pointer.value = stack; // the module's own stack belongs to the device's thread
  } else {
    const table = core.__indirect_function_table;
    if (table.length < tableSize) table.grow(tableSize - table.length);
    const { exports } = await WebAssembly.instantiate(part, { env: { ...core, memory } });
    exports.__stack_pointer.value = core.__stack_pointer.value - callersStack;
  }
  core.join(dismissals);
}

function listen(port) {
  let before = Promise.resolve();
  port.onmessage = ({ data }) => {
    if (data.port !== undefined) listen(data.port);
    else before = before.then(() => enter(data));
  };
}

// No top-level await, because bundlers may convert this file to a classic script. The module name is hidden from them.
const threads = 'node:worker_threads';
if (typeof process === 'object' && process.versions?.node !== undefined) {
  import(/* @vite-ignore */ /* webpackIgnore: true */ threads).then(({ parentPort }) => listen(parentPort));
} else {
  listen(globalThis);
}
