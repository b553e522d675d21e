// Runs in a separate process, with the built package as users have it: node start-probe.mjs <task> [folder]. Prints
// milliseconds. native, wasm from `import` to the first result load Transformer.load of a folder, and by how many bytes
// the process grew at most

const [task, folder] = process.argv.slice(2);
const start = performance.now();
const { createDevice, softmax, Transformer } = await import('simdformer');

if (task === 'load') {
  const device = await createDevice();
  const before = process.resourceUsage().maxRSS * 1024;
  const begin = performance.now();
  const model = await Transformer.load(device, folder);
  await device.flush();
  const milliseconds = performance.now() - begin;
  const grown = process.resourceUsage().maxRSS * 1024 - before;
  console.log(JSON.stringify({ milliseconds, grown, parameters: model.parameters().length }));
} else {
  const device = await createDevice({ backend: task });
  const [first] = await softmax(device.tensor([[1, 2, 3]])).data();
  if (Math.abs(first - 0.0900306) > 1e-6) throw new Error(`softmax gave ${first}`);
  console.log(JSON.stringify({ milliseconds: performance.now() - start }));
}
