// A Worker that embeds texts. Its model lies in the assets of the Worker, in the folder `model`.
import { createDevice, loadModel } from 'simdformer';

const FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'modules.json', '1_Pooling/config.json'];

let opened;
/** Loads the model at the first request, because a Worker cannot read files while it starts. */
function open(assets) {
  opened ??= (async () => {
    const device = await createDevice();
    const files = await Promise.all(
      [...FILES, 'model.safetensors'].map(async (path) => {
        const response = await assets.fetch(`http://assets/model/${path}`);
        return response.ok ? [[path, await response.blob()]] : [];
      }),
    );
    return { device, model: await loadModel(device, Object.fromEntries(files.flat())) };
  })();
  return opened;
}

export default {
  async fetch({ url }, { ASSETS }) {
    const { device, model } = await open(ASSETS);
    const [vector] = await model.encode([new URL(url).searchParams.get('text') ?? '']);
    return Response.json({ backend: device.info.backend, vector: [...vector] });
  },
};
