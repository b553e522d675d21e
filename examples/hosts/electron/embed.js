// Loads the model once. MODEL is a hub id or a folder. A packed app has the addon in app.asar.unpacked.
let opened;
function open() {
  opened ??= (async () => {
    const { createDevice, loadModel } = await import('simdformer');
    const device = await createDevice();
    return { device, model: await loadModel(device, process.env.MODEL ?? 'sentence-transformers/all-MiniLM-L6-v2') };
  })();
  return opened;
}

/** Returns the embedding of a text, and the engine that computed it. */
exports.embed = async (text) => {
  const { device, model } = await open();
  const [vector] = await model.encode([text]);
  return { backend: device.info.backend, vector: [...vector] };
};
