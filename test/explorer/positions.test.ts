import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resolvePositions, sinusoids } from '../../src/nn/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage } from './explorer.js';

const LENGTH = 48;

describeWith(['WebAssembly', 'Chromium'], 'the explorer shows positions', () => {
  let explorer: Explorer;
  let shown: ExplorerPage;
  let page: Page;
  beforeAll(async () => {
    explorer = await Explorer.start();
    shown = await explorer.open('positions');
    page = shown.page;
  });
  afterAll(() => explorer?.close());

  /** Description of the cell after some presses of arrow keys. */
  async function cell(label: RegExp, down: number, right: number): Promise<string> {
    const grid = page.getByRole('grid', { name: label });
    await grid.focus();
    await page.keyboard.press('Home');
    for (let i = 0; i < LENGTH; i++) await page.keyboard.press('ArrowUp');
    for (let i = 0; i < down; i++) await page.keyboard.press('ArrowDown');
    for (let i = 0; i < right; i++) await page.keyboard.press('ArrowRight');
    return (await grid.getByRole('gridcell').textContent()) ?? '';
  }

  const numberIn = (text: string) => Number(text.split(': ')[1]?.replace('−', '-'));

  it.each<['interleaved' | 'halves', string, number]>([
    ['interleaved', 'Sines and cosines in turn', 128],
    ['halves', 'Sines first, cosines after', 64],
  ])('shows sinusoids and their dot products, %s', async (layout, name, width) => {
    await page.getByText(name).click();
    await page.getByRole('slider', { name: 'Features' }).fill(String(width));
    const table = sinusoids(LENGTH, width, resolvePositions({ kind: 'sinusoidal', layout }));
    for (const [position, feature] of [
      [0, 1],
      [5, 2],
      [7, 9],
    ] as const) {
      const says = await cell(/Sinusoidal position vectors/, position, feature);
      expect(says).toMatch(new RegExp(`^position ${position}, feature ${feature} `));
      expect(numberIn(says)).toBeCloseTo(table[position * width + feature] as number, 2);
    }
    for (const [a, b] of [
      [0, 0],
      [3, 8],
    ] as const) {
      let product = 0;
      for (let i = 0; i < width; i++) product += table[a * width + i]! * table[b * width + i]!;
      await expect.poll(async () => numberIn(await cell(/Dot products/, a, b))).toBeCloseTo(product, 1);
    }
  });

  it('shows the initial learned positions of small models, and their change', async () => {
    const bias = page.getByRole('grid', { name: /^Relative bias, before training: 2 rows by 17 columns/ });
    await bias.waitFor();
    expect(await cell(/^Relative bias/, 0, 7)).toBe('head 1, distance −1: 0.000');
    await page.getByRole('button', { name: 'Let them learn' }).click();
    await page.getByRole('heading', { name: /Learned vectors, after \d{2,} steps/ }).waitFor({ timeout: 110_000 });
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Go on' }).waitFor();
    expect(await cell(/^Relative bias/, 0, 7)).not.toBe('head 1, distance −1: 0.000');
    expect(shown.trouble).toEqual([]);
  });

  it('trains one lesson, even if it is started repeatedly', async () => {
    const { page, trouble } = await explorer.open('positions');
    await page.locator('#variants').waitFor();
    const button = page.locator('button.main');
    for (let i = 0; i < 5; i++) await button.click(); // on, off, on, off, on
    await page.getByText(/^After \d{2,} steps/).waitFor({ timeout: 110_000 });
    expect(await button.textContent()).toBe('Stop');
    expect(await page.locator('.trouble').count()).toBe(0);
    expect(page.workers()).toHaveLength(2);
    expect(trouble).toEqual([]);
  });
});
