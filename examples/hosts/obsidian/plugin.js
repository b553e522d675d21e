// A plugin for Obsidian: embeds the open note. The model's files lie in the plugin's folder, in `model`.
import { Notice, Plugin } from 'obsidian';
import { createDevice, loadModel } from 'simdformer/browser';

export default class EmbedPlugin extends Plugin {
  #opened;

  onload() {
    this.addCommand({ id: 'embed', name: 'Embed the open note', callback: () => this.embed() });
  }

  async onunload() {
    const { device } = (await this.#opened) ?? {};
    device?.dispose();
  }

  async embed() {
    const file = this.app.workspace.getActiveFile();
    const text = file ? await this.app.vault.cachedRead(file) : '';
    this.#opened ??= this.#open();
    const { device, model } = await this.#opened;
    const [vector] = await model.encode([text]);
    new Notice(`${vector.length} numbers, computed by ${device.info.backend}`);
    return { backend: device.info.backend, vector: [...vector] };
  }

  async #open() {
    const device = await createDevice({ backend: 'wasm', threads: 1, quiet: true });
    const { adapter } = this.app.vault;
    const root = `${this.manifest.dir}/model`;
    const files = {};
    for (const folder of ['', '/1_Pooling']) {
      if (!(await adapter.exists(root + folder))) continue;
      for (const path of (await adapter.list(root + folder)).files)
        files[path.slice(root.length + 1)] = await adapter.readBinary(path);
    }
    return { device, model: await loadModel(device, files) };
  }
}
