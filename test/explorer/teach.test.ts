import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDevice, Transformer } from '../../src/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage } from './explorer.js';

/** Words spelled backwards: quickly learnt. */
const PAIRS = Array.from({ length: 400 }, (_, i) => {
  const word = [...String(i * 7919)].map((digit) => 'abcdefghij'[+digit]).join('');
  return `${word} ${[...word].reverse().join('')}`;
}).join('\n');

describeWith(['WebAssembly', 'Chromium'], 'the explorer teaches a model', () => {
  let explorer: Explorer;
  beforeAll(async () => {
    explorer = await Explorer.start();
  });
  afterAll(() => explorer?.close());

  /** Number below a name in the row of figures. */
  async function fact(page: Page, name: string): Promise<number> {
    const text = await page.locator('.facts div', { hasText: name }).locator('dd').textContent();
    return Number((text ?? '').replace(/[^\d.]/g, ''));
  }

  const reaches = (page: Page, step: number) =>
    expect.poll(() => fact(page, 'Steps'), { timeout: 90_000 }).toBeGreaterThan(step);

  async function files(page: Page): Promise<Record<string, Uint8Array>> {
    const downloads: Promise<[string, Uint8Array]>[] = [];
    page.on('download', (download) =>
      downloads.push(download.path().then(async (path) => [download.suggestedFilename(), await readFile(path)])),
    );
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await expect.poll(() => downloads.length).toBe(4);
    return Object.fromEntries(await Promise.all(downloads));
  }

  async function paste(page: Page, text: string): Promise<void> {
    await page.getByText('Pairs of your own').click();
    await page.getByLabel('Your pairs').fill(text);
    await page.getByText('Small', { exact: true }).click();
    await page.getByRole('button', { name: 'Start teaching' }).click();
  }

  it('trains on pasted pairs: pauses, resumes, is saved, and is shown by the other parts', async () => {
    const taught: ExplorerPage = await explorer.open('teach');
    const { page } = taught;
    await paste(page, PAIRS);
    await page.getByLabel('Learning rate').fill('-2');
    expect(await page.locator('.slider output').textContent()).toBe('0.010');
    await reaches(page, 120);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const paused = await fact(page, 'Steps');
    const curve = (await page.getByRole('img', { name: 'Loss by step' }).getAttribute('aria-label')) as string;
    expect(Number(/, ([\d.]+) at step/.exec(curve)?.[1])).toBeLessThan(2);

    const early = await Transformer.fromFiles(await createDevice(), await files(page));
    await page.getByRole('button', { name: 'Resume' }).click();
    await reaches(page, paused + 30);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    const model = await Transformer.fromFiles(await createDevice(), await files(page));
    expect(await model.parameters()[0]?.data()).not.toEqual(await early.parameters()[0]?.data());

    await page.getByRole('button', { name: 'Look inside this model' }).click();
    await page.getByRole('heading', { name: 'Look inside', level: 2 }).waitFor();
    for (const word of ['abcdef', 'hhh', 'jiggedach']) {
      const { source, target } = model.tokenizers;
      const { sequences } = await model.generate([source?.encode(word) as number[]]);
      const expected = (sequences[0] as number[]).map((id) => target?.idToToken(id)).join(' ');
      expect(await taught.say(word)).toBe(expected);
    }
    expect(await taught.say('zebra')).toMatch(/never learnt “z”, “r”\. It reads a–j/);
    expect(taught.trouble).toEqual([]);
  });

  it('trains on the built-in words while the page is used; all parts follow', async () => {
    const taught: ExplorerPage = await explorer.open('teach');
    const { page } = taught;
    await page.getByText('Small', { exact: true }).click();
    await page.getByText('Learned', { exact: true }).click();
    await page.getByRole('button', { name: 'Start teaching' }).click();
    await reaches(page, 20);
    const words = await page.locator('.attempts tbody th').allTextContents();
    expect(words[0]).toBe('transformer');
    expect(words).toHaveLength(9);
    expect(await taught.say('phoenix')).toMatch(/^[A-Z ]+$/); // still the model of the page

    await page.getByLabel('All parts follow it as it learns').check();
    await taught.show('Positions');
    await page.getByRole('heading', { name: /Learned vectors, of the model after \d+ steps/ }).waitFor();
    await taught.show('Teach it');
    await reaches(page, 120);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    await page.getByRole('button', { name: 'Start over' }).click();
    await page.getByRole('button', { name: 'Start teaching' }).waitFor();
    expect(taught.trouble).toEqual([]);
  });

  it('starts once, even if it is started repeatedly', async () => {
    const { page, trouble } = await explorer.open('teach');
    await page.getByText('Small', { exact: true }).click();
    await page.getByRole('button', { name: 'Start teaching' }).dblclick();
    await reaches(page, 20);
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    expect(await page.locator('.trouble').count()).toBe(0);
    expect(page.workers()).toHaveLength(2); // the page's and the training's
    expect(trouble).toEqual([]);
  });

  it('asks before the page is left, except for saved training', async () => {
    const { page } = await explorer.open('teach');
    let asked = 0;
    page.on('dialog', async (dialog) => {
      asked++;
      await dialog.dismiss();
    });
    await paste(page, PAIRS);
    await reaches(page, 20);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor();
    await page.evaluate(() => location.reload());
    await expect.poll(() => asked).toBe(1);
    expect(await fact(page, 'Steps')).toBeGreaterThan(20);
    await files(page);
    await page.reload();
    await page.locator('.enrolment').waitFor();
    expect(asked).toBe(1);
    await page.context().close();
  });

  it('keeps pairs that cannot be learned, with the reasons', async () => {
    const { page } = await explorer.open('teach');
    await page.getByText('The model on this page').click();
    await page.getByText('Pairs of your own').click();
    const pairs = Array.from({ length: 30 }, (_, i) => `ï${'a'.repeat(i)} N AY`).join('\n');
    await page.getByLabel('Your pairs').fill(pairs);
    await page.getByRole('button', { name: 'Start teaching' }).click();
    await page.getByRole('alert').getByText('ï').waitFor();
    expect(await page.getByLabel('Your pairs').inputValue()).toBe(pairs);
  });

  it('holds out words with all of their answers', async () => {
    const { page } = await explorer.open('teach');
    const word = (i: number) => [...String(i)].map((digit) => 'abcdefghij'[+digit]).join('');
    await paste(page, Array.from({ length: 300 }, (_, i) => `${word(i % 60)} ${i % 60}${i % 7}`).join('\n'));
    const rows = page.locator('.attempts tbody tr');
    await rows.first().waitFor();
    const tested = (await rows.allTextContents()).filter((text) => !text.includes('your word'));
    expect(tested).toHaveLength(6); // a tenth of 60
    expect(new Set(tested.map((text) => /^[a-j]+/.exec(text)?.[0])).size).toBe(6);
    for (const text of tested) expect(text).toMatch(/^[a-j]+\d+ or \d+/);
    await page.context().close();
  });

  it('continues to train a loaded model', async () => {
    const { page, trouble } = await explorer.open('teach');
    await page.getByText('The model on this page').click();
    await page.getByRole('button', { name: 'Start teaching' }).click();
    await page.locator('.attempts tbody tr').first().waitFor({ timeout: 60_000 });
    await reaches(page, 1);
    expect(await fact(page, 'Test words right')).toBeGreaterThan(50); // it knew most of them before
    expect(trouble).toEqual([]);
  });

  const complaints: [text: string, complaint: RegExp][] = [
    ['', /0 pairs to learn from are too few/],
    ['cat cats\ndog\n', /Line 2, “dog”, has no answer/],
    ['cat cats\n'.repeat(30), /too few different words: 1\./],
    ['cat cats\n', /1 pair to learn from are too few/],
    [`${'x'.repeat(99)} y\n`, /Line 1, “x+…”, is too long/],
    [
      Array(30)
        .fill(`x ${'y'.repeat(99)}`)
        .join('\n'),
      /An answer has 99 letters/,
    ],
  ];

  it('reports invalid pairs, and trains on corrected ones', async () => {
    const { page, trouble } = await explorer.open('teach');
    for (const [text, complaint] of complaints) {
      await paste(page, text);
      await page.getByRole('alert').getByText(complaint).waitFor();
    }
    await page.getByLabel('Your pairs').fill(PAIRS);
    await page.getByRole('button', { name: 'Start teaching' }).click();
    await reaches(page, 1);
    expect(trouble).toEqual([]);
    await page.context().close();
  });
});
