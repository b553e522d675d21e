// Models of images and sounds that are brought to the explorer: what it shows is what Node computes.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { expect, it } from 'vitest';
import { examplePicture } from '../../examples/explorer/src/parts/bring/guest/example-picture.js';
import { spectrogramOf } from '../../examples/explorer/src/parts/bring/guest/spectrogram.js';
import { sampledAttention } from '../../src/inspect/index.js';
import { mixDown, readWav } from '../../src/pretrained/index.js';
import { Wav2Vec2FeatureExtractor } from '../../src/pretrained/processors/wav2vec2.js';
import { describeWith } from '../equipment.js';
import { testData } from '../test-data.js';
import { expectNear, takePicture } from './explorer.js';
import { filesOf, GuestPage, openGuestPage, payload, wavOf } from './guest-page.js';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describeWith(['WebAssembly', 'Chromium'], 'the explorer’s pictures and sounds', () => {
  const guest = openGuestPage();

  const load = guest.load.bind(guest);

  /** The page's example picture as a model without a preprocessor_config.json gets it. */
  function pixelsOf(size: number): Float32Array {
    const { width, height, data } = examplePicture();
    const at = (y: number, x: number) => Math.floor((y * height) / size) * width + Math.floor((x * width) / size);
    return Float32Array.from({ length: 3 * size * size }, (_, i) => {
      const [channel, place] = [Math.floor(i / size ** 2), i % size ** 2];
      return data[3 * at(Math.floor(place / size), place % size) + channel]! / 127.5 - 1;
    });
  }

  it('a picture: labels, and attention over its patches', async () => {
    const folder = testData('families/vit-image').path;
    const vit = await load(folder);
    await guest.bring(await filesOf(folder));
    const { page } = guest;
    await page.getByText('The picture is read as 4 × 4 patches.').waitFor();
    const pixelValues = guest.device.tensor(pixelsOf(24), [1, 3, 24, 24]);
    const { logits } = vit.forward({ pixelValues });
    const scores = ((await logits!.data()) as Float32Array).map(Math.exp);
    const most = Math.max(...scores) / scores.reduce((a, b) => a + b);
    const shown = await page.locator('.guess-percent').first().textContent();
    expectNear(shown!, 100 * most, 0.11);
    const { encoder } = vit.attentionMaps(pixelValues);
    const expectMap = async (layer: number, of: (head: Float32Array[]) => Float32Array, query: number) => {
      const weights = (await encoder[layer]!.data()) as Float32Array;
      const [, heads] = encoder[layer]!.shape as [number, number];
      const each = Array.from({ length: heads }, (_, i) =>
        weights.subarray((i * 17 + query) * 17, (i * 17 + query + 1) * 17),
      );
      const expected = of(each);
      const cells = (await guest.cells(/over the patches/, 4, 4)).flat();
      for (const [i, text] of cells.entries()) expectNear(text.split(': ')[1]!, 100 * expected[i + 1]!, 0.11);
    };
    const mean = (heads: Float32Array[]) =>
      heads[0]!.map((_, i) => heads.reduce((sum, head) => sum + head[i]!, 0) / heads.length);
    await expectMap(encoder.length - 1, mean, 0);
    await page.getByRole('slider', { name: 'Layer' }).fill('1');
    await page.getByRole('slider', { name: 'Head' }).fill('2');
    await page.getByRole('slider', { name: 'From' }).fill('7');
    await page.getByText('row 2, column 2').first().waitFor();
    await expectMap(0, (heads) => heads[1]!, 6);
    await takePicture(page, 'guest patches');
    expect(guest.brought.trouble).toEqual([]);
    vit.dispose();
  });

  it.each([
    ['detr', true],
    ['rt_detr', false],
  ] as const)('boxes by query of %s', async (name, hasNothing) => {
    const folder = testData(`families/${name}`).path;
    const detector = await load(folder);
    await guest.bring(await filesOf(folder));
    const { page } = guest;
    await page.getByRole('heading', { name: 'Boxes by query' }).waitFor();
    await page.getByRole('slider', { name: 'Least probability' }).fill('0');
    const { logits, predBoxes } = detector.forward({ pixelValues: guest.device.tensor(pixelsOf(64), [1, 3, 64, 64]) });
    const [, queries, classes] = logits!.shape as [number, number, number];
    const [scores, boxes] = [await logits!.data(), await predBoxes!.data()] as [Float32Array, Float32Array];
    const buttons = await page.locator('.queries button').allTextContents();
    expect(buttons).toHaveLength(Math.min(20, queries));
    for (const text of buttons) {
      const [, number, label, percent] = /^(\d+): LABEL_(\d+) ([\d.]+) %$/.exec(text)!;
      const query = Number(number) - 1;
      const row = scores.subarray(query * classes, (query + 1) * classes);
      const powers = row.map(Math.exp);
      const total = powers.reduce((a, b) => a + b);
      const all = hasNothing ? powers.map((x) => x / total).subarray(0, -1) : powers.map((x) => x / (1 + x));
      const best = Math.max(...all);
      expectNear(percent!, 100 * best, 0.11);
      expect(Number(label)).toBe(all.indexOf(best));
    }
    const query = Number(buttons[0]!.split(':')[0]) - 1;
    await page.locator('.queries button').first().click();
    const box = page.locator('.box.chosen');
    const place = await box.evaluate((rect) =>
      ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name))),
    );
    const [x, y, width, height] = boxes.subarray(4 * query, 4 * query + 4) as unknown as [
      number,
      number,
      number,
      number,
    ];
    const expected = [x - width / 2, y - height / 2, width, height].map((share) => 96 * share);
    for (const [i, value] of expected.entries()) expect(place[i]).toBeCloseTo(value, 2);
    const dots = await page
      .locator('circle.sample')
      .evaluateAll((circles) => circles.map((dot) => ['cx', 'cy', 'r'].map((name) => Number(dot.getAttribute(name)))));
    const layer = sampledAttention(detector, guest.device.tensor(pixelsOf(64), [1, 3, 64, 64])).at(-1);
    expect(dots).toHaveLength(layer ? layer.weights.size / queries : 0);
    if (layer) {
      const [places, weights] = [await layer.positions.data(), await layer.weights.data()];
      const samples = layer.weights.shape[3] as number;
      const of = (i: number) => (Math.floor(i / samples) * queries + query) * samples + (i % samples);
      const largest = Math.max(...dots.map((_, i) => weights[of(i)] as number));
      for (const [i, dot] of dots.entries()) {
        const at = of(i);
        const radius = 0.02 * 96 * Math.sqrt((weights[at] as number) / largest);
        const wanted = [96 * (places[2 * at] as number), 96 * (places[2 * at + 1] as number), radius];
        for (const [k, value] of wanted.entries()) expect(dot[k]).toBeCloseTo(value, 2);
      }
    }
    await takePicture(page, `guest boxes ${name}`);
    expect(guest.brought.trouble).toEqual([]);
    detector.dispose();
  });

  it('a sound: the tokens of CTC, and when they are heard', async () => {
    const folder = testData('families/wav2vec2').path;
    const ctc = await load(folder);
    const settings = { feature_extractor_type: 'Wav2Vec2FeatureExtractor', sampling_rate: 16000, do_normalize: true };
    await guest.bring([...(await filesOf(folder)), payload('preprocessor_config.json', JSON.stringify(settings))]);
    const whole = readWav(await readFile(`${testData('checkpoints/real').path}/jfk-16k.wav`));
    const samples = mixDown(whole).slice(20_000, 22_000);
    await guest.give([payload('part.wav', wavOf(samples))]);
    const { page } = guest;
    await page.getByRole('heading', { name: 'Tokens in the sound' }).waitFor();
    const { data, shape } = new Wav2Vec2FeatureExtractor(settings).process([samples]);
    const { logits } = ctc.forward({ inputValues: guest.device.tensor(data, shape) });
    const [, frames, vocabulary] = logits!.shape as [number, number, number];
    const scores = (await logits!.data()) as Float32Array;
    const rows = Array.from({ length: frames }, (_, i) => scores.subarray(i * vocabulary, (i + 1) * vocabulary));
    const path = rows.map((row) => row.indexOf(Math.max(...row)));
    const heard = path.flatMap((id, i) => (id !== 0 && id !== path[i - 1] ? [{ id, frame: i }] : []));
    expect(heard.length).toBeGreaterThan(2);
    const said = await page.locator('.transcript p').textContent();
    expect(said).toBe(heard.map(({ id }) => id).join(' '));
    // Each token is shown with its probability where it begins, in the column of that time.
    const columns = Math.min(75, frames);
    const cells = await guest.cells(/^Tokens by time/, Math.min(2, heard.length), columns);
    for (const [row, shown] of cells.entries()) {
      const { id, frame } = heard[row]!;
      const powers = rows[frame]!.map(Math.exp);
      const probability = (100 * powers[id]!) / powers.reduce((a, b) => a + b);
      const text = shown[Math.floor((frame * columns) / frames)]!;
      expect(text).toMatch(new RegExp(`^“${id}” at `));
      expect(Number.parseFloat(text.split(': ')[1]!)).toBeGreaterThan(probability - 0.11); // a column can have two frames
    }
    expect(await page.getByRole('grid', { name: /^Strength of the sound/ }).count()).toBe(1);
    await takePicture(page, 'guest ctc');
    expect(guest.brought.trouble).toEqual([]);
    ctc.dispose();
  });

  it('a sound: the attention of a Moonshine', async () => {
    const folder = testData('families/moonshine').path;
    const moonshine = await load(folder);
    const settings = { feature_extractor_type: 'Wav2Vec2FeatureExtractor', sampling_rate: 16000, do_normalize: false };
    await guest.bring([...(await filesOf(folder)), payload('preprocessor_config.json', JSON.stringify(settings))]);
    const whole = readWav(await readFile(`${testData('checkpoints/real').path}/jfk-16k.wav`));
    const samples = mixDown(whole).slice(20_000, 24_000);
    await guest.give([payload('part.wav', wavOf(samples))]);
    const { page } = guest;
    await page.getByRole('heading', { name: 'Tokens in the sound' }).waitFor();
    const source = guest.device.tensor(samples, [1, samples.length]);
    const { sequences } = await moonshine.generate(source, { numBeams: 1, doSample: false });
    const tokens = [moonshine.startId!, ...sequences[0]!].slice(0, moonshine.maxLength);
    expect(await page.locator('.transcript p').textContent()).toBe(tokens.join(' '));
    const { cross } = moonshine.attentionMaps(source, [tokens]);
    const maps = (await Promise.all(cross.map((map) => map.data()))) as Float32Array[];
    const [, heads, count, places] = cross[0]!.shape as [number, number, number, number];
    const cells = await guest.cells(/^Tokens by time/, 2, places);
    for (const [row, shown] of cells.entries())
      for (const [place, text] of shown.entries()) {
        let sum = 0;
        for (const map of maps)
          for (let head = 0; head < heads; head++) sum += map[(head * count + row) * places + place]!;
        expectNear(text.split(': ')[1]!, (100 * sum) / heads / maps.length, 0.11);
      }
    expect(guest.brought.trouble).toEqual([]);
    moonshine.dispose();
  });

  it.each([
    ['dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['narrow', { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true }],
  ] as const)('pictures and sounds are accessible and fit the page: %s', async (_, options) => {
    const own = new GuestPage(await guest.explorer.open('bring', options));
    const { page } = own;
    await page.addScriptTag({ path: axe });
    const check = async () => {
      await page.waitForTimeout(300); // figures are drawn a frame after their values are there
      const { violations } = await page.evaluate<AxeResults>('axe.run({ resultTypes: ["violations"] })');
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    };
    await own.bring(await filesOf(testData('families/vit-image').path));
    await page.getByText('The picture is read as 4 × 4 patches.').waitFor();
    await check();
    const settings = { feature_extractor_type: 'Wav2Vec2FeatureExtractor', sampling_rate: 16000, do_normalize: true };
    const files = await filesOf(testData('families/wav2vec2').path);
    await own.bring([...files, payload('preprocessor_config.json', JSON.stringify(settings))]);
    const sound = Float32Array.from({ length: 2000 }, (_, i) => Math.sin((i * i) / 900) / 2);
    await own.give([payload('part.wav', wavOf(sound))]);
    await page.getByRole('heading', { name: 'Tokens in the sound' }).waitFor();
    await check();
    await page.context().close();
  });

  it('the spectrogram of a tone is in its band', () => {
    const samples = Float32Array.from({ length: 8000 }, (_, i) => Math.sin((2 * Math.PI * 1000 * i) / 16000));
    const { bands, values, times } = spectrogramOf(samples, 16000, 10);
    expect(times.slice(0, 3)).toEqual(['0.0 s', '0.1 s', '0.1 s']);
    for (let column = 0; column < 10; column++) {
      const powers = bands.map((_, band) => values[band * 10 + column]!);
      const strongest = bands[powers.indexOf(Math.max(...powers))]!;
      expect(Math.abs(Number.parseFloat(strongest) - 1)).toBeLessThan(0.15);
    }
  });
});
