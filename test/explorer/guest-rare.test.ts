// SAM, CLAP, models that speak and transducers in the explorer: what it shows is what Node computes.
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { beforeAll, expect, it } from 'vitest';
import { examplePicture } from '../../examples/explorer/src/parts/bring/guest/example-picture.js';
import type { Tensor } from '../../src/index.js';
import { computedAttention } from '../../src/inspect/index.js';
import type { ParakeetTransducer } from '../../src/models/families/parakeet.js';
import type { Sam } from '../../src/models/families/sam.js';
import type { Vits } from '../../src/models/families/vits.js';
import { loadModel } from '../../src/pretrained/index.js';
import { ClapFeatureExtractor } from '../../src/pretrained/processors/clap.js';
import { ParakeetFeatureExtractor } from '../../src/pretrained/processors/filter-banks.js';
import { describeWith } from '../equipment.js';
import { testData } from '../test-data.js';
import { expectNear, takePicture } from './explorer.js';
import { filesOf, openGuestPage, payload, wavOf } from './guest-page.js';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const clapSettings = {
  feature_extractor_type: 'ClapFeatureExtractor',
  feature_size: 16,
  sampling_rate: 16000,
  hop_length: 320,
  fft_window_size: 512,
  max_length_s: 1,
  nb_max_samples: 16000,
  frequency_min: 0,
  frequency_max: 8000,
  truncation: 'rand_trunc',
  padding: 'repeatpad',
};
const parakeetSettings = {
  feature_extractor_type: 'ParakeetFeatureExtractor',
  feature_size: 16,
  sampling_rate: 16000,
  hop_length: 160,
  n_fft: 512,
  win_length: 400,
};

describeWith(['WebAssembly', 'Chromium'], 'the explorer opens rarer models', () => {
  const guest = openGuestPage();
  beforeAll(async () => {
    await guest.page.addScriptTag({ path: axe });
  });

  const load = async <T>(folder: string) =>
    (await loadModel(guest.device, folder, { onWarning: () => {} })) as unknown as T;
  const chirp = Float32Array.from({ length: 16000 }, (_, i) => Math.sin((i * i) / 9000) / 2);
  const recording = () => guest.give([payload('chirp.wav', wavOf(chirp))]);

  async function check(name: string): Promise<void> {
    const { page } = guest;
    await page.waitForTimeout(300); // figures are drawn a frame after their values are there
    const { violations } = await page.evaluate<AxeResults>('axe.run({ resultTypes: ["violations"] })');
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    expect(serious.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
    await takePicture(page, name);
    expect(guest.brought.trouble).toEqual([]);
  }

  /** The page's example picture as a model without a preprocessor_config.json gets it. */
  function pixelsOf(size: number): Tensor {
    const { width, height, data } = examplePicture();
    const at = (y: number, x: number) => Math.floor((y * height) / size) * width + Math.floor((x * width) / size);
    const pixels = Float32Array.from({ length: 3 * size * size }, (_, i) => {
      const [channel, place] = [Math.floor(i / size ** 2), i % size ** 2];
      return data[3 * at(Math.floor(place / size), place % size) + channel]! / 127.5 - 1;
    });
    return guest.device.tensor(pixels, [1, 3, size, size]);
  }

  it('SAM: the outline at a point, and attention within windows', async () => {
    const folder = testData('families/sam').path;
    const sam = await load<Sam>(folder);
    await guest.bring(await filesOf(folder));
    const { page } = guest;
    await page.getByText('The picture is read as 6 × 6 patches.').waitFor();
    const outline = page.getByRole('grid', { name: /^What the point marks/ });
    await outline.waitFor();
    // The seventh column of the second row, of 24.
    await outline.focus();
    await outline.press('Escape');
    await outline.press('ArrowDown');
    for (let i = 0; i < 6; i++) await outline.press('ArrowRight');
    await outline.press('Enter');
    const point = [(100 * 6.5) / 24, (100 * 1.5) / 24].map((percent) => Math.round(100 * percent) / 100);
    await expect.poll(() => decodeURIComponent(page.url())).toContain(point.join(','));
    const pixels = pixelsOf(48);
    const { iouScores, predMasks } = sam.forward({
      pixelValues: pixels,
      inputPoints: guest.device.tensor(
        Float32Array.from(point, (percent) => 0.48 * percent),
        [1, 1, 1, 2],
      ),
    });
    const scores = (await iouScores!.data()) as Float32Array;
    const best = scores.indexOf(Math.max(...scores));
    const masks = (await predMasks!.data()) as Float32Array;
    await page.getByText(`estimated quality ${scores[best]!.toFixed(2)}`).waitFor();
    const cells = await guest.cells(/^What the point marks/, 2, 24);
    for (const [i, text] of cells.flat().entries())
      expectNear(text.split(': ')[1]!, 100 / (1 + Math.exp(-masks[best * 24 * 24 + i]!)), 0.11);

    const maps = await computedAttention(guest.device, () => sam.imageEmbeddings(pixels));
    const [windowed] = (await Promise.all(maps.map((map) => map.data()))) as Float32Array[];
    await page.getByRole('slider', { name: 'Layer' }).fill('1');
    await page.getByRole('slider', { name: 'Head' }).fill('2');
    await page.getByRole('slider', { name: 'From' }).fill(`${1 + 5 * 6 + 4}`); // row 6, column 5: in the last window
    await page.getByText('row 6, column 5').first().waitFor();
    const shown = await guest.cells(/over the patches/, 6, 6);
    for (const [row, texts] of shown.entries())
      for (const [column, text] of texts.entries()) {
        const isInside = row >= 4 && column >= 4;
        const at = ((3 * 4 + 1) * 16 + 4) * 16 + (row - 4) * 4 + (column - 4);
        expectNear(text.split(': ')[1]!.replace('<', ''), isInside ? 100 * windowed![at]! : 0, 0.11);
      }
    await check('guest sam');
    sam.dispose();
  });

  it('CLAP: texts that fit, and attention over the spectrogram', async () => {
    const folder = testData('families/clap').path;
    const clap = await load<{ forward(inputs: object): Record<string, Tensor>; dispose(): void }>(folder);
    await guest.bring([...(await filesOf(folder)), payload('preprocessor_config.json', JSON.stringify(clapSettings))]);
    await recording();
    const { page } = guest;
    await page.getByRole('heading', { name: 'Which text fits' }).waitFor();
    await guest.field.fill('0 5 9 2\n0 7 7 8 2');
    await page.getByText('2 texts.').waitFor();
    const written = Float32Array.from(chirp, (x) => Math.round(32768 * x) / 32768);
    const { data, shape } = new ClapFeatureExtractor(clapSettings).process([written]);
    const inputFeatures = guest.device.tensor(data, shape);
    const logits: number[] = [];
    for (const ids of [
      [0, 5, 9, 2],
      [0, 7, 7, 8, 2],
    ])
      logits.push((await clap.forward({ inputIds: [ids], inputFeatures }).logitsPerAudio!.data())[0]!);
    const share = 100 / (1 + Math.exp(-Math.abs(logits[0]! - logits[1]!)));
    expectNear((await page.locator('.guess-percent').first().textContent())!, share, 0.2);

    const maps = await computedAttention(guest.device, () => clap.forward({ inputFeatures }));
    const weights = (await Promise.all(maps.map((map) => map.data()))) as Float32Array[];
    expect(maps.map(({ shape }) => shape)).toEqual([
      [4, 2, 16, 16],
      [4, 2, 16, 16],
      [1, 4, 16, 16],
    ]);
    // The spectrogram of 8 × 8 patches is folded into two sections of time: 4 rows of 16 patches are drawn, high tones
    // at the top. The second layer shifts windows of 4 × 4 by 2.
    await page.getByRole('slider', { name: 'Layer' }).fill('2');
    await page.getByRole('slider', { name: 'Head' }).fill('1');
    await page.getByRole('slider', { name: 'From' }).fill(`${1 + 1 * 16 + 11}`);
    await page.getByText('row 2, column 12').first().waitFor();
    const place = (row: number, column: number) => [4 * Math.floor(column / 8) + 3 - row, column % 8] as const;
    const inWindow = (row: number, column: number) => {
      const [down, right] = [(row + 6) % 8, (column + 6) % 8];
      return { window: 2 * Math.floor(down / 4) + Math.floor(right / 4), at: 4 * (down % 4) + (right % 4) };
    };
    const from = inWindow(...place(1, 11));
    const shown = await guest.cells(/over the patches/, 4, 16);
    let sum = 0;
    for (const [row, texts] of shown.entries())
      for (const [column, text] of texts.entries()) {
        const { window, at } = inWindow(...place(row, column));
        const weight = window === from.window ? weights[1]![(window * 2 * 16 + from.at) * 16 + at]! : 0;
        expectNear(text.split(': ')[1]!.replace('<', ''), 100 * weight, 0.11);
        sum += weight;
      }
    expect(sum).toBeCloseTo(1, 4);
    await check('guest clap');
    clap.dispose();
  });

  it('VITS: when each token is spoken, and attention of the text’s encoder', async () => {
    const folder = testData('families/vits').path;
    const vits = await load<Vits>(folder);
    await guest.bring(await filesOf(folder));
    const { page } = guest;
    await guest.field.fill('3 1 4 1 5 9');
    const [spoken] = await vits.speakInTime([[3, 1, 4, 1, 5, 9]]);
    const frames = spoken!.frames.reduce((a, b) => a + b, 0);
    await page.getByText(`6 tokens, ${frames} frames.`).waitFor();
    const columns = Math.min(75, frames);
    const cells = await guest.cells(/^Tokens by time/, 6, columns);
    let start = 0;
    for (const [row, texts] of cells.entries()) {
      const expected = Array<number>(columns).fill(0);
      const duration = spoken!.frames[row]!;
      for (let frame = start; frame < start + duration; frame++) expected[Math.floor((frame * columns) / frames)] = 100;
      start += duration;
      for (const [i, text] of texts.entries()) expectNear(text.split(': ')[1]!, expected[i]!, 0.01);
    }
    expect(await page.locator('audio').count()).toBe(1);
    await page.getByRole('heading', { name: 'All heads at once' }).waitFor();
    await check('guest vits');
    vits.dispose();
  });

  it('SpeechT5: a spectrogram, and the tokens that each step attends to', async () => {
    await guest.bring(await filesOf(testData('families/speecht5').path));
    const { page } = guest;
    // The initial text has five tokens. With ten, there are more steps than columns.
    await guest.field.fill('3 1 4 1 5 9 2 6 5 3');
    await page.getByText(/^10 tokens, \d+ frames\. A vocoder/).waitFor();
    const columns = await page.getByRole('grid', { name: /^Tokens by time/ }).getAttribute('aria-colcount');
    const cells = await guest.cells(/^Tokens by time/, 10, Number(columns));
    for (let column = 0; column < Number(columns); column++) {
      const all = cells.map((row) => Number.parseFloat(row[column]!.split(': ')[1]!.replace('<', '')));
      expectNear(String(all.reduce((a, b) => a + b)), 100, 0.3);
    }
    await check('guest speecht5');
  });

  it('a transducer: its tokens, and how long they last', async () => {
    const folder = testData('families/parakeet_tdt').path;
    const model = await load<ParakeetTransducer>(folder);
    await guest.bring([
      ...(await filesOf(folder)),
      payload('preprocessor_config.json', JSON.stringify(parakeetSettings)),
    ]);
    await recording();
    const { page } = guest;
    await page.getByRole('heading', { name: 'Tokens in the sound' }).waitFor();
    const written = Float32Array.from(chirp, (x) => Math.round(32768 * x) / 32768);
    const { data, shape } = new ParakeetFeatureExtractor(parakeetSettings).process([written]);
    const [text] = await model.transcribe({ inputFeatures: guest.device.tensor(data, shape) });
    const { sequence, durations } = text!;
    const starts = durations.map((_, i) => durations.slice(0, i).reduce((a, b) => a + b, 0));
    const frames = durations.reduce((a, b) => a + b, 0);
    const heard = sequence.flatMap((id, i) => (i > 0 && id !== model.startId ? [i] : []));
    expect(heard.length).toBeGreaterThan(1);
    const said = await page.locator('.transcript p').textContent();
    expect(said).toBe(heard.map((i) => sequence[i]).join(' '));
    const cells = await guest.cells(/^Tokens by time/, 2, frames);
    for (const [row, texts] of cells.entries()) {
      const [start, duration] = [starts[heard[row]!]!, Math.max(1, durations[heard[row]!]!)];
      for (const [frame, cell] of texts.entries())
        expectNear(cell.split(': ')[1]!, frame >= start && frame < start + duration ? 100 : 0, 0.01);
    }
    await check('guest transducer');
    model.dispose();
  });
});
