// Trains an adapter to answer in a format from 200 examples. Then counts its exact answers for 100 unseen ones: npx tsx
// examples/finetune/measure.ts MODEL [passes] [rate]
import { createDevice, loadModel } from 'simdformer';
import { people } from './src/examples.js';
import { answersOf, teach } from './src/teach.js';

const [path = '', passes = '2', rate = '2e-3'] = process.argv.slice(2);
const device = await createDevice();
const model = await loadModel(device, path);
const all = people(300);
const [learnt, unseen] = [all.slice(0, 200), all.slice(200)];
const began = performance.now();
const elapsed = () => `${((performance.now() - began) / 1000).toFixed(0)} s`;
await teach(model, learnt, {
  passes: Number(passes),
  rate: Number(rate),
  onStep: ({ step, loss }, steps) => {
    if (step % 5 === 0) console.log(`step ${step} of ${steps}: loss ${loss.toFixed(4)}, ${elapsed()}`);
  },
});
console.log(`learnt in ${elapsed()}`);
const prompts = unseen.map(({ prompt }) => prompt);
const answers = await answersOf(model, prompts);
const right = unseen.filter(({ answer }, i) => answer === answers[i]).length;
for (const [i, { prompt, answer }] of unseen.entries())
  if (answers[i] !== answer) console.log(`${prompt} → ${answers[i]}, expected ${answer}`);
console.log(`exact match on ${unseen.length} unseen examples: ${((100 * right) / unseen.length).toFixed(1)} %`);
device.dispose();
