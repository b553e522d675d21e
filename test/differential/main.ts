// Random compositions of ops on every instruction set of this machine and in WebAssembly, against float64.
//
//   npm run differential -- 1000 7      a thousand compositions from seed 7
//
// Prints each composition whose values or slope are wrong, and ends with status 1 if there is one.
import { createDevice, type Device } from '../../src/index.js';
import { compose, describe, type Outcome, runOn, wrong } from './composition.js';

const [count = 1000, first = 0] = process.argv.slice(2).map(Number);

const sameBits = (a: Outcome, b: Outcome) =>
  `${a.result}` === `${b.result}` && a.gradients.every((gradient, i) => `${gradient}` === `${b.gradients[i]}`);

const native = await createDevice({ backend: 'native', threads: 1 });
const wasm = await createDevice({ backend: 'wasm', threads: 1 });
const devices: [name: string, device: Device][] = [];
for (const [backend, { info }] of [
  ['native', native],
  ['wasm', wasm],
] as const)
  for (const isa of info.isas) devices.push([`${backend} ${isa}`, await createDevice({ backend, isa, threads: 1 })]);
const threads = await createDevice({ backend: 'native', threads: 3 });

let failures = 0;
const fail = (text: string) => {
  failures++;
  console.error(text);
};
for (let n = 0; n < count; n++) {
  const composition = compose(`${first} ${n}`);
  let reference: Outcome | undefined;
  for (const [name, device] of devices) {
    const outcome = runOn(device, composition);
    const problem = wrong(composition, outcome);
    if (problem !== null) fail(`${name}, ${describe(composition)}: ${problem}`);
    if (name === `native ${native.info.isa}`) reference = outcome;
  }
  if (!sameBits(runOn(threads, composition), reference as Outcome))
    fail(`three threads give other bits than one, ${describe(composition)}`);
}
console.log(
  `${count} compositions on ${devices.map(([name]) => name).join(', ')} and three threads: ${failures} wrong`,
);
process.exit(failures > 0 ? 1 : 0);
