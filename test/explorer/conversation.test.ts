// Models of pictures and words in the explorer: the tokens of pictures, and attention to their patches, are what Node computes.
import { expect, it } from 'vitest';
import { examplePicture } from '../../examples/explorer/src/parts/bring/guest/example-picture.js';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import type { ImageTextProcessor } from '../../src/pretrained/processors/image-text/image-text-processor.js';
import { describeWith } from '../equipment.js';
import { imageTextFiles, imageTextModel, type KindName } from '../tasks/image-text-model.js';
import { expectNear, takePicture } from './explorer.js';
import { openGuestPage, payload } from './guest-page.js';

describeWith(['WebAssembly', 'Chromium'], 'conversations about pictures', () => {
  const guest = openGuestPage();

  const bring = async (name: KindName) => {
    const files = Object.entries(await imageTextFiles(name));
    await guest.bring(files.map(([file, bytes]) => payload(file, Buffer.from(bytes))));
  };

  it.each([
    ['paligemma', 1],
    ['smolvlm', 5],
    ['qwen3_vl', 1],
    ['lfm2_vl', 3],
    ['gemma3_vl', 1],
  ] as const)('%s: tokens of a picture, and the attention of a word to it', async (name, parts) => {
    await bring(name);
    const { page } = guest;
    await page
      .locator('.model-card')
      .getByText(name.replace(/^gemma3_vl/, 'gemma3'), { exact: true })
      .waitFor();
    await page.getByLabel('What you ask').fill('w11 w12');
    await page.getByLabel('What you ask').blur();
    await page.locator('.guest .chips button').getByText('w12').first().waitFor();
    await page.getByText(/tokens it reads are pictures/).waitFor();
    const model = await imageTextModel(name, guest.device);
    const processor = model.processor as unknown as ImageTextProcessor;
    const ready = processor.process(examplePicture());
    const counts = ready.pieces.flatMap((piece) => (typeof piece === 'object' && 'rows' in piece ? [piece.rows] : []));
    expect(counts).toHaveLength(parts);
    const total = counts.reduce((a, b) => a + b, 0);
    const said = (await page.getByText(/tokens it reads are pictures/).textContent()) as string;
    expect(Number(/^\d+/.exec(said)![0])).toBe(total);
    const grids = [...said.matchAll(/(\d+) × (\d+)/g)].map(([, rows, columns]) => [Number(rows), Number(columns)]);
    expect(grids.map(([rows, columns]) => rows! * columns!)).toEqual(counts);
    const chips = await page.locator('.guest .chips button').allTextContents();
    expect(chips.filter((chip) => chip.startsWith('picture 1'))).toHaveLength(parts);

    // The attention of the second word, in the last layer and the mean of its heads.
    const word = chips.findIndex((chip) => chip.startsWith('w12 '));
    expect(word).toBeGreaterThan(0);
    await page.locator('.guest .chips button').nth(word).click();
    const idsOf = (some: readonly string[]) =>
      some.flatMap((chip) => {
        const [, part] = /^picture 1(?:, part (\d+))? /.exec(chip) ?? [];
        const id = Number(/(\d+)$/.exec(chip)![1]);
        return chip.startsWith('picture') ? Array<number>(counts[Number(part ?? 1) - 1]!).fill(id) : [id];
      });
    const ids = idsOf(chips);
    const at = idsOf(chips.slice(0, word)).length;
    const first = idsOf(
      chips.slice(
        0,
        chips.findIndex((chip) => chip.startsWith('picture')),
      ),
    ).length;
    const { pixelValues, pieces: _, imagePositionIds: __, ...lists } = ready;
    const output = model.forward(
      { inputIds: [ids], pixelValues: guest.device.tensor(pixelValues.data, pixelValues.shape), ...lists },
      { attentions: true },
    );
    const map = output.attentions!.at(-1)!;
    const [, heads, count] = map.shape as [number, number, number];
    const weights = (await map.data()) as Float32Array;
    const [rows, columns] = grids[0] as [number, number];
    const label = `to picture 1${parts > 1 ? ', part 1' : ''}.`;
    const cells = (await guest.cells(new RegExp(label), rows, columns)).flat();
    for (const [i, text] of cells.entries()) {
      let mean = 0;
      for (let head = 0; head < heads; head++) mean += weights[(head * count + at) * count + first + i]! / heads;
      expectNear(text.split(': ')[1]!, 100 * mean, 0.11);
    }
    await takePicture(page, `guest conversation ${name}`);
    expect(guest.brought.trouble).toEqual([]);
    model.dispose();
  });

  it('reads several pictures, and says which tokens belong to which', async () => {
    await bring('qwen3_vl');
    const { page } = guest;
    const image = { width: 40, height: 16, data: Uint8Array.from({ length: 1920 }, (_, i) => (i * 7) % 251) };
    const png = Buffer.from(await encodeImage(image));
    const add = () =>
      page
        .getByLabel('A picture', { exact: true })
        .setInputFiles([{ name: 'a.png', mimeType: 'image/png', buffer: png }]);
    await add();
    await page.getByText(/picture 1 has 1 × \d/).waitFor();
    await add();
    await page.getByText(/picture 1 has .*, picture 2 has /).waitFor();
    const chips = await page.locator('.guest .chips button').allTextContents();
    expect(chips.filter((chip) => /^picture [12] /.test(chip))).toHaveLength(2);
    await takePicture(page, 'guest conversation two pictures');
    expect(guest.brought.trouble).toEqual([]);
  });
});
