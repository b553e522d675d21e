import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Tokenizer, Transformer } from '../../src/index.js';
import {
  type AttentionMaps,
  type HeadId,
  headStatistics,
  type Trace,
  trace,
  withoutHeads,
} from '../../src/inspect/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage, expectNear, modelInNode } from './explorer.js';

const attentions = { encoder: 'Encoder', decoder: 'Masked decoder', cross: 'Cross attention' } as const;

describeWith(['WebAssembly', 'Chromium'], 'the explorer looks inside as the package does in Node', () => {
  let explorer: Explorer;
  let explorerPage: ExplorerPage;
  let page: Page;
  let model: Transformer;
  let letters: Tokenizer;
  let sounds: Tokenizer;

  beforeAll(async () => {
    explorer = await Explorer.start();
    explorerPage = await explorer.open('look-inside');
    page = explorerPage.page;
    model = await modelInNode();
    letters = model.tokenizers.source as Tokenizer;
    sounds = model.tokenizers.target as Tokenizer;
  });
  afterAll(() => explorer?.close());

  async function answerOf(word: string) {
    const source = letters.encode(word);
    const { sequences } = await model.generate([source]);
    const target = sequences[0] as number[];
    return { source, target, read: [sounds.bosId as number, ...target] };
  }

  const names = (ids: readonly number[]) => ids.map((id) => sounds.idToToken(id)).join(' ');

  async function choose({ attention, layer, head }: HeadId): Promise<Locator> {
    await page.getByText(attentions[attention], { exact: true }).click();
    await page
      .getByRole('button', { name: `${attentions[attention]}, layer ${layer + 1}, head ${head + 1}` })
      .first()
      .click();
    return page.locator('.head').first();
  }

  function attentionOf({ encoder, decoder }: Trace, { attention, layer }: HeadId) {
    const stack = attention === 'encoder' ? encoder : decoder;
    const traced = stack?.layers[layer];
    return (attention === 'cross' ? traced?.crossAttention : traced?.selfAttention)!.inside;
  }

  it.each<HeadId>([
    { attention: 'cross', layer: 1, head: 3 },
    { attention: 'encoder', layer: 3, head: 0 },
    { attention: 'decoder', layer: 0, head: 2 },
  ])('%o: shows the weight of each cell, and the q·k of it', async (id) => {
    const { source, read } = await answerOf('phoenix');
    expect(await explorerPage.say('phoenix')).toBe(names(read.slice(1)));
    const { weights, products, scores, causal } = attentionOf(await trace(model, source, read), id);
    const figure = await choose(id);
    const grid = figure.getByRole('grid').first();
    const [, rows, columns] = weights.shape as [number, number, number];
    await expect.poll(() => grid.getAttribute('aria-rowcount')).toBe(`${rows}`);
    await grid.focus();
    await page.keyboard.press('Home');
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const says = (await grid.getByRole('gridcell').textContent()) as string;
        const at = (id.head * rows + row) * columns + column;
        if (causal && column > row) expect(says).toContain('may not look');
        else {
          const [, percent, score, product] = says.match(
            /: ([\d.]+) %\nscore ([−\d.]+) = \(?q·k ([−\d.]+)/,
          ) as string[];
          expectNear(percent!, 100 * weights.data[at]!, percent!.includes('.') ? 0.051 : 0.51);
          expectNear(score!, scores.data[at]!, 0.0051);
          expectNear(product!, products.data[at]!, 0.0051);
        }
        await page.keyboard.press('ArrowRight');
      }
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowDown');
    }
  });

  it('shows statistics of every head, in the requested order', async () => {
    const { source, read } = await answerOf('through');
    await explorerPage.say('through');
    const maps = model.attentionMaps([source], [read]);
    const expected = new Map<string, { entropy: number; distance: number; previous: number }>();
    for (const attention of Object.keys(attentions) as (keyof AttentionMaps)[]) {
      for (const [layer, map] of maps[attention].entries()) {
        for (const [head, numbers] of (await headStatistics(map)).entries()) {
          expected.set(`${attentions[attention]} ${layer + 1}·${head + 1}`, numbers);
        }
      }
    }
    const table = page.locator('.head-table');
    const firstDistance = Math.max(...[...expected.values()].map(({ distance }) => distance)).toFixed(2);
    await table.getByRole('button', { name: 'Distance' }).click();
    await expect.poll(() => table.locator('tbody tr').first().locator('td').nth(1).textContent()).toBe(firstDistance);
    for (const [name, key] of [
      ['Entropy', 'entropy'],
      ['Place before', 'previous'],
    ] as const) {
      await table.getByRole('button', { name }).click();
      const shown: string[][] = await table
        .locator('tbody tr')
        .evaluateAll((rows) =>
          rows.map((row) => Array.from(row.querySelectorAll('th, td'), (cell) => cell.textContent ?? '')),
        );
      expect(shown).toHaveLength(expected.size);
      for (const [head, entropy, distance, previous] of shown as [string, string, string, string][]) {
        const numbers = expected.get(head)!;
        expectNear(entropy, numbers.entropy, 0.0051);
        expectNear(distance, numbers.distance, 0.0051);
        expectNear(previous, 100 * numbers.previous, 0.51);
      }
      const order = shown.map(([head]) => expected.get(head as string)![key]);
      for (let i = 1; i < order.length; i++) expect(order[i]).toBeLessThanOrEqual(order[i - 1]! + 1e-5);
    }
    await expect
      .poll(() => table.getByRole('columnheader', { name: 'Place before' }).getAttribute('aria-sort'))
      .toBe('descending');
  });

  it('shows the answer without heads, and the original answer when they are on again', async () => {
    const { source, target, read } = await answerOf('colonel');
    await explorerPage.say('colonel');
    const now = page.locator('[data-now]');
    const sure = async () =>
      (await page.locator('.sureness .bar.is .mono').allTextContents()).map((text) =>
        Number.parseFloat(text.replace('now', '')),
      );
    await expect.poll(() => now.getAttribute('data-now')).toBe(names(target));
    const before = await sure();
    const off: HeadId[] = [2, 3].flatMap((layer) =>
      [0, 1, 2, 3].map((head) => ({ attention: 'cross', layer, head }) as const),
    );
    for (const layer of [2, 3]) {
      const figure = await choose({ attention: 'cross', layer, head: 0 });
      await figure.getByRole('button', { name: 'Switch off its layer' }).click();
    }
    const expected = await withoutHeads(model, off, async () => ({
      answer: (await model.generate([source])).sequences[0] as number[],
      probabilities: (await trace(model, source, read)).probabilities,
    }));
    expect(names(expected.answer)).not.toBe(names(target));
    await expect.poll(() => now.getAttribute('data-now')).toBe(names(expected.answer));
    const { shape, data } = expected.probabilities;
    const ids = [...target, sounds.eosId as number];
    const likely = ids.map((id, i) => 100 * (data[i * shape[1]! + id] as number));
    const furthest = async () => Math.max(...(await sure()).map((percent, i) => Math.abs(percent - likely[i]!)));
    await expect.poll(furthest).toBeLessThan(0.51); // the answer may be the same with one layer off and with both
    await page.getByRole('button', { name: 'Switch all on' }).click();
    await expect.poll(() => now.getAttribute('data-now')).toBe(names(target));
    await expect.poll(sure).toEqual(before);
  });

  it('compares two heads, and shows their agreement', async () => {
    const { source, read } = await answerOf('attention');
    await explorerPage.say('attention');
    const [a, b] = [
      { attention: 'cross', layer: 1, head: 3 },
      { attention: 'cross', layer: 2, head: 3 },
    ] as const;
    const figure = await choose(a);
    await figure.getByRole('button', { name: 'Pin to compare' }).click();
    await choose(b);
    await expect.poll(() => page.locator('.head').count()).toBe(2);
    const traced = await trace(model, source, read);
    const size = read.length * source.length;
    const [left, right] = [a, b].map((id) =>
      attentionOf(traced, id).weights.data.subarray(id.head * size, (id.head + 1) * size),
    );
    const difference = left!.reduce((sum, weight, i) => sum + Math.abs(weight - right![i]!), 0) / 2;
    const apart = async () => {
      const says = await page.getByText('in the same places').textContent();
      return Math.abs(Number(says?.match(/put ([\d.]+) %/)?.[1]) - 100 * (1 - difference / read.length));
    };
    await expect.poll(apart).toBeLessThan(0.51);
    await page.locator('.head').nth(1).getByRole('button', { name: 'Pin to compare' }).click();
    expect(await page.locator('.head').count()).toBe(1);
  });

  it('heads are reached by keyboard, and arcs show the attention of a token', async () => {
    await choose({ attention: 'encoder', layer: 0, head: 0 });
    await page.locator('.thumbnail[aria-pressed=true]').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await expect
      .poll(() => page.locator('.thumbnail:focus').getAttribute('aria-label'))
      .toContain('Encoder, layer 2, head 2');
    const says = await page.locator('.head .tokens button').nth(1).getAttribute('aria-label');
    expect(says).toMatch(/^t looks at \w [\d.]+ %, \w [\d.]+ %, \w [\d.]+ %$/);
  });

  it('links to the numbers of a token in a head, and back', async () => {
    await explorerPage.say('phoenix');
    const figure = await choose({ attention: 'encoder', layer: 2, head: 1 });
    const grid = figure.getByRole('grid').first();
    await grid.focus();
    for (const key of ['Home', 'ArrowUp', 'ArrowUp', 'ArrowUp', 'ArrowDown', 'ArrowDown', 'ArrowDown', 'Enter']) {
      await page.keyboard.press(key);
    }
    await figure.getByRole('link', { name: 'Follow “e” through this head' }).click();
    await page.getByRole('heading', { name: 'Follow the numbers', level: 2 }).waitFor();
    const chosen = () =>
      page.locator('.chooser input:checked').evaluateAll((all) => all.map((input) => input.parentElement?.textContent));
    await expect.poll(chosen).toEqual(['A letter, in the encoder', 'e', '3', '2']);
    await page.getByRole('group', { name: 'Head' }).getByRole('radio').nth(3).check({ force: true });
    await page.getByRole('link', { name: 'See this head among the others' }).click();
    await page.getByRole('heading', { name: 'Layer 3, head 4', level: 3 }).waitFor();
    expect(await page.evaluate(() => location.hash)).toBe('#look-inside/encoder/3/4/4');
    expect(await page.locator('.products p').first().getAttribute('data-at')).toMatch(/^3 /);
  });

  it('keeps the chosen head while the word cannot be read', async () => {
    await choose({ attention: 'decoder', layer: 1, head: 2 });
    for (const word of ['', '🙂', 'bee']) await explorerPage.say(word);
    await expect.poll(() => page.locator('.head .tokens.sound').first().textContent()).toMatch(/^startBIY$/);
    await page.getByRole('heading', { name: 'Layer 2, head 3', level: 3 }).waitFor();
  });

  it('logs no errors', () => expect(explorerPage.trouble).toEqual([]));
});
