// Loads the model once. MODEL is a hub id or a folder.
import { createDevice, loadModel } from 'simdformer';

const opened = (async () => {
  const device = await createDevice();
  const model = await loadModel(device, process.env.MODEL ?? 'sentence-transformers/all-MiniLM-L6-v2');
  return { device, model };
})();

/** Returns the embedding of a text, and the engine that computed it. */
export async function embed(text) {
  const { device, model } = await opened;
  const [vector] = await model.encode([text]);
  return { backend: device.info.backend, vector: [...vector] };
}
