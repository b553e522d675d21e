// The memory of decoders that are brought to the explorer: what it shows is what Node computes.
import { expect, it } from 'vitest';
import { describeWith } from '../equipment.js';
import { testData } from '../test-data.js';
import { expectNear, takePicture } from './explorer.js';
import { filesOf, openGuestPage } from './guest-page.js';

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows the memory of decoders', () => {
  const guest = openGuestPage();

  const load = guest.load.bind(guest);
  const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

  it.each(['falcon_h1', 'qwen3_5', 'lfm2', 'mamba2'])('memory of %s: what grows, and the states', async (name) => {
    const folder = testData(`families/${name}`).path;
    const hybrid = await load(folder);
    await guest.bring(await filesOf(folder));
    const ids = [5, 9, 17, 4, 6];
    await guest.read(ids.join(' '));
    const says = await guest.experiment('Memory');
    const needs = hybrid.decoder!.layers.map((layer) => layer.cacheSpecs());
    const bytes = (kind: string) =>
      needs.flat().reduce((sum, { rows, width }) => sum + (rows === kind ? 4 * width : 0), 0);
    const first = says.match(/adds ([\d.]+) (k?B)/)!;
    expect(Number(first[1]) * (first[2] === 'kB' ? 1024 : 1)).toBeCloseTo(bytes('tokens'), -2);
    const recurrent = needs
      .map((some) => some.filter(({ rows }) => rows === 'states'))
      .filter(({ length }) => length > 0);
    const cells = await guest.cells(/^Norm of the state/, recurrent.length, ids.length);
    for (const at of ids.keys()) {
      // A text that ends here, read at once.
      const state = hybrid.startDecoding({ maxLength: 8 });
      hybrid.extend!(state, [ids.slice(0, at + 1)]);
      for (const [layer, parts] of recurrent.entries()) {
        let sum = 0;
        for (const { part } of parts) sum += norm((await state.cacheOf(part).data()) as Float32Array) ** 2;
        expectNear(cells[layer]![at]!.split(': ')[1]!, Math.sqrt(sum), 0.011);
      }
      state.dispose();
    }
    await takePicture(guest.page, `guest memory ${name}`);
    expect(guest.brought.trouble).toEqual([]);
    hybrid.dispose();
  });

  it('memory of gemma3n: layers that use the keys of others keep nothing', async () => {
    const folder = testData('families/gemma3n').path;
    const shared = await load(folder);
    await guest.bring(await filesOf(folder));
    await guest.read('5 9 17 4 6');
    await guest.experiment('Memory');
    const empty = shared.decoder!.layers.flatMap((layer, i) => (layer.cacheSpecs().length === 0 ? [i + 1] : []));
    expect(empty.length).toBeGreaterThan(0);
    const kinds = await guest.page.locator('.layer-memory li').allTextContents();
    expect(kinds).toContainEqual(
      expect.stringMatching(new RegExp(`^Layers? ${empty.join(', ')}: nothing of its own$`)),
    );
    expect(guest.brought.trouble).toEqual([]);
    shared.dispose();
  });
});
