import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Tokenizer, Transformer } from '../../src/index.js';
import { type Trace, trace, type Values } from '../../src/inspect/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage, expectNear, modelInNode } from './explorer.js';

describeWith(['WebAssembly', 'Chromium'], 'the explorer follows the numbers that the package computes in Node', () => {
  let explorer: Explorer;
  let explorerPage: ExplorerPage;
  let page: Page;
  let model: Transformer;
  let sounds: Tokenizer;
  let traced: Trace;
  let read: number[];

  beforeAll(async () => {
    explorer = await Explorer.start();
    explorerPage = await explorer.open('follow-numbers');
    page = explorerPage.page;
    model = await modelInNode();
    sounds = model.tokenizers.target as Tokenizer;
    const source = (model.tokenizers.source as Tokenizer).encode('phoenix');
    const { sequences } = await model.generate([source]);
    read = [sounds.bosId as number, ...(sequences[0] as number[])];
    traced = await trace(model, source, read);
    await explorerPage.say('phoenix');
  });
  afterAll(() => explorer?.close());

  const figure = (title: string) =>
    page.locator('.figure', { has: page.getByRole('heading', { name: title, level: 3 }) });

  async function choose(
    side: 'letter' | 'sound',
    token: number,
    layer: number,
    head: number,
    attention?: 'Masked self-attention' | 'Cross attention',
  ) {
    await page.getByText(`A ${side}, in the`).click();
    await page.getByRole('group', { name: 'Token' }).getByRole('radio').nth(token).check({ force: true });
    await page.getByRole('group', { name: 'Layer' }).getByRole('radio').nth(layer).check({ force: true });
    await page.getByRole('group', { name: 'Head' }).getByRole('radio').nth(head).check({ force: true });
    if (attention) await page.getByText(attention, { exact: true }).click();
  }

  async function press(key: string, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) await page.keyboard.press(key);
  }

  /** To a cell of a picture, by arrow keys. */
  async function walkTo(grid: Locator, row: number, column: number): Promise<void> {
    await grid.focus();
    await press('Escape');
    await press('Home');
    await press('ArrowDown', row);
    await press('ArrowRight', column);
  }

  /** Description of the cell that the arrow keys have reached. */
  async function valueAt(grid: Locator, column: number): Promise<string> {
    const says = (await grid.getByRole('gridcell').textContent()) as string;
    expect(says).toMatch(new RegExp(`feature ${column + 1}:`));
    return says.split(': ').at(-1) as string;
  }

  async function expectStrips(title: string, picture: string, rows: readonly ArrayLike<number>[]) {
    const grid = figure(title).getByRole('grid', { name: picture });
    await walkTo(grid, 0, 0);
    for (const values of rows) {
      for (const column of [0, 1, 2]) {
        expectNear(await valueAt(grid, column), values[column]!, 0.0051);
        await press('ArrowRight');
      }
      await press('Home');
      await press('ArrowDown');
    }
  }

  it('shows the numbers of a letter, from the embedding to the decoder', async () => {
    const [token, layer, head] = [3, 2, 1];
    await choose('letter', token, layer, head);
    const { embedding, layers, output } = traced.encoder!;
    const [selfAttention, feedForward] = [layers[layer]!.selfAttention!, layers[layer]!.feedForward!];
    const ofToken = (...values: Values[]) => values.map((all) => rowOf(all, token));
    const { token: looked, position, sum } = embedding;
    if (position) {
      await expectStrips('Embedding + position', 'Embedding and position.', ofToken(looked, position, sum));
    } else await expectStrips('Embedding', 'Embedding and position.', ofToken(looked));
    const { inside } = selfAttention;
    const norm = selfAttention.norm!;
    const { relativeKeys, relativeValues } = inside;
    const most = (relativeKeys!.shape[0]! - 1) / 2;
    for (const [what, table] of [
      ['keys', relativeKeys!],
      ['values', relativeValues!],
    ] as const) {
      const seen = [0, 1, 2].map((key) => rowOf(table, most + Math.max(-most, key - token)));
      await expectStrips('Distances instead of places', `Vectors of distances, for ${what}.`, seen);
    }
    await expectStrips('Layer norm, and why', 'before and after', ofToken(norm.input, norm.output));
    await expectStrips('Query, keys and values', 'Query and keys.', [
      rowOf(inside.q, token, head),
      ...[0, 1, 2].map((key) => rowOf(inside.k, key, head)),
    ]);
    await expectStrips(
      'Query, keys and values',
      'Values.',
      [0, 1, 2].map((key) => rowOf(inside.v, key, head)),
    );
    const weights = rowOf(inside.weights, token, head);
    await expectStrips(
      'The weighted sum',
      'Values times weights.',
      [0, 1, 2].map((key) => rowOf(inside.v, key, head).map((value) => value * weights[key]!)),
    );
    await expectStrips('The weighted sum', 'Sum.', [rowOf(inside.outputs, token, head)]);
    await expectStrips(
      'The weighted sum',
      'What each head found.',
      [0, 1, 2, 3].map((each) => rowOf(inside.outputs, token, each)),
    );
    await expectStrips(
      'Add what self-attention',
      'Before, added',
      ofToken(selfAttention.input, inside.output, selfAttention.sum),
    );
    const { hidden, active, output: found } = feedForward.inside;
    await expectStrips('Feed-forward', 'before relu', ofToken(hidden));
    await expectStrips('Feed-forward', 'after relu', ofToken(active));
    await expectStrips('Feed-forward', 'Output of', ofToken(found));
    const on = rowOf(active, token).filter((value) => value > 1e-3).length;
    await figure('Feed-forward').getByText(`${on} of them here`).waitFor();
    await expectStrips(
      'Through all layers',
      'Vector of',
      ofToken(embedding.sum, ...layers.map((each) => each.output), output),
    );
    await expectStrips('What the decoder gets', 'Output of the encoder.', ofToken(output));
  });

  it('shows norms first in a pre-norm model', async () => {
    const titles = await page.getByRole('heading', { level: 3 }).allTextContents();
    expect(model.config.norm).toBe('pre');
    expect(titles.map((title) => title.slice(0, 9))).toEqual([
      'Embedding',
      'Distances',
      'Layer nor',
      'Query, ke',
      'Scores, s',
      'The weigh',
      'Add what ',
      'Layer nor',
      'Feed-forw',
      'Add what ',
      'Through a',
      'What the ',
    ]);
  });

  it.each([
    ['as the model does', true, true],
    ['not scaled', false, true],
    ['not masked', true, false],
    ['neither', false, false],
  ])('shows scores and weights of a sound, %s', async (_, scaled, masked) => {
    const [token, layer, head] = [2, 1, 3];
    await choose('sound', token, layer, head, 'Masked self-attention');
    const scores = figure('Scores, scaled and masked');
    await scores.getByLabel('divide by √32').setChecked(scaled);
    await scores.getByLabel('mask what comes later').setChecked(masked);
    const { products, relative, scale, weights: own } = traced.decoder!.layers[layer]!.selfAttention!.inside;
    const byDistance = relative && rowOf(relative, token, head);
    const sums = [...rowOf(products, token, head)].map((product, key) => product + (byDistance?.[key] ?? 0));
    const expected = sums.map((product, key) =>
      masked && key > token ? Number.NEGATIVE_INFINITY : product * (scaled ? scale : 1),
    );
    const powers = expected.map((score) => Math.exp(score - Math.max(...expected)));
    const weights = powers.map((power) => power / powers.reduce((a, b) => a + b));
    if (scaled && masked) {
      for (const [key, weight] of rowOf(own, token, head).entries()) expect(weight).toBeCloseTo(weights[key]!, 5);
    }
    const rows: string[][] = await scores
      .locator('tbody tr')
      .evaluateAll((all) =>
        all.map((row) => Array.from(row.querySelectorAll('td'), (column) => column.textContent ?? '')),
      );
    expect(rows).toHaveLength(read.length);
    for (const [key, [product, score, weight]] of (rows as [string, string, string][]).entries()) {
      expectNear(product, sums[key]!, 0.0051);
      if (expected[key] === Number.NEGATIVE_INFINITY) expect(score).toBe('−∞');
      else expectNear(score, expected[key]!, 0.0051);
      expectNear(weight, 100 * weights[key]!, weight.includes('.') ? 0.051 : 0.51);
    }
    const bits = weights.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
    await expect
      .poll(() => scores.locator('.finding').textContent())
      .toContain(`Entropy of the weights: ${bits.toFixed(2)} bits`);
  });

  it('shows the result of batch norm, with all tokens and with every second one', async () => {
    const token = 2;
    await choose('letter', token, 0, 0);
    const { input, weight, bias } = traced.encoder!.layers[0]!.selfAttention!.norm!;
    const norms = figure('Layer norm, and why not batch norm');
    const normed = (rows: readonly number[], feature: number) => {
      const values = rows.map((row) => rowOf(input, row)[feature]!);
      const mean = values.reduce((a, b) => a + b) / values.length;
      const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
      const own = (rowOf(input, token)[feature]! - mean) / Math.sqrt(variance + model.config.layerNormEps);
      return weight.data[feature]! * own + (bias?.data[feature] ?? 0);
    };
    const batch = norms.getByRole('grid', { name: 'Tokens after batch norm.' });
    const all = [0, 1, 2, 3, 4, 5, 6];
    for (const feature of [0, 5]) {
      await walkTo(batch, token, feature);
      expectNear(await valueAt(batch, feature), normed(all, feature), 0.0051);
    }
    await norms.getByLabel('leave every second token out').check();
    const half = [0, 2, 4, 6];
    for (const feature of [0, 5]) {
      await walkTo(batch, token, feature);
      expectNear(await valueAt(batch, feature), normed(half, feature), 0.0051);
    }
    const { dModel } = model.config;
    const moved = Array.from({ length: dModel }, (_, i) => Math.abs(normed(half, i) - normed(all, i)));
    const says = await norms.getByText('on average').textContent();
    expectNear(says?.match(/by ([\d.]+) on average/)?.[1] as string, moved.reduce((a, b) => a + b) / dModel, 0.0051);
  });

  it('shows the last softmax', async () => {
    const token = 1;
    await choose('sound', token, 0, 0, 'Cross attention');
    const rows: string[][] = await figure('The last softmax')
      .locator('tbody tr')
      .evaluateAll((all) => all.map((row) => Array.from(row.children, (column) => column.textContent ?? '')));
    const [chances, scores] = [rowOf(traced.probabilities, token), rowOf(traced.logits, token)];
    const best = [...chances.keys()].sort((a, b) => chances[b]! - chances[a]!).slice(0, rows.length);
    expect(rows).toHaveLength(8);
    for (const [i, [name, score, chance]] of (rows as [string, string, string][]).entries()) {
      const id = best[i] as number;
      expect(name).toBe(id === sounds.eosId ? 'end' : sounds.idToToken(id));
      expectNear(score, scores[id]!, 0.0051);
      expectNear(chance, 100 * chances[id]!, chance.includes('.') ? 0.051 : 0.51);
    }
  });

  it('logs no errors, for any word', async () => {
    for (const word of ['a', 'x'.repeat(64)]) {
      await explorerPage.say(word);
      await figure('The last softmax').waitFor();
    }
    expect(explorerPage.trouble).toEqual([]);
  });
});

function rowOf({ shape, data }: Values, row: number, matrix = 0): Float32Array {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const at = (matrix * rows + row) * columns;
  return data.subarray(at, at + columns);
}
