// Trains a small Transformer to read numbers backwards, in a worker, and shows what it makes of one.
import { CharTokenizer, createDevice, fit, linearDecay, Transformer } from 'simdformer';

const show = (text) => {
  document.querySelector('#result').textContent = text;
};

const device = await createDevice({ worker: true, wasmUrl: 'dist/simdformer/' });
const digits = CharTokenizer.train('0123456789', { special: { pad: '<pad>', bos: '<s>', eos: '</s>' } });
const examples = Array.from({ length: 1000 }, (_, i) => ({
  source: digits.encode(`${i}`),
  target: digits.encode([...`${i}`].reverse().join(''), { addSpecial: true }),
}));

const sizes = { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, maxLength: 8, norm: 'pre' };
const vocabularies = { sourceVocab: digits.vocabSize, targetVocab: digits.vocabSize };
const model = new Transformer(device, { ...sizes, ...vocabularies });
await fit(model, examples, {
  steps: 200,
  batchTokens: 256,
  schedule: linearDecay(1e-2, { steps: 200, warmup: 20 }),
  onStep: ({ step, loss }) => show(`step ${step}: loss ${loss.toFixed(3)}`),
});

const { sequences } = await model.generate([digits.encode('137')]);
const { isa, threads } = device.info;
show(`137 backwards is ${digits.decode(sequences[0])} (${isa}, threads: ${threads})`);
