// Work for every runtime: logits, three steps of training, and a generation by the trained model.
import { AdamW, createDevice, Transformer } from 'simdformer';

const sources = [
  [3, 4, 5],
  [6, 7],
];
const targets = [
  [1, 5, 4, 3, 2],
  [1, 7, 6, 2],
];

export async function compute(options) {
  const device = await createDevice({ backend: 'wasm', ...options });
  const sizes = { dModel: 32, heads: 2, encoderLayers: 1, decoderLayers: 1, maxLength: 16, norm: 'pre', seed: 7 };
  const model = new Transformer(device, { ...sizes, sourceVocab: 9, targetVocab: 9 });
  const logits = [...(await model.forward(sources, targets).data())];
  const optimizer = new AdamW(model.parameters(), { lr: 0.01 });
  const losses = [];
  for (let step = 0; step < 3; step++) {
    const loss = device.scope(() => {
      const mean = model.loss(sources, targets);
      mean.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return mean;
    });
    losses.push(await loss.item());
  }
  const { sequences } = await model.generate(sources, { maxNewTokens: 5 });
  const { info } = device;
  device.dispose();
  return { info, logits, losses, sequences };
}
