import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { temperature, topK, topP } from '../../src/generate/index.js';
import type { Tokenizer, Transformer } from '../../src/index.js';
import { logSoftmax } from '../../src/ops/index.js';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage, modelInNode } from './explorer.js';

/** Content of a card about a step. */
interface Card {
  readonly chosen: string;
  readonly candidates: { readonly name: string; readonly says: string }[];
}

describeWith(['WebAssembly', 'Chromium'], 'the explorer pronounces as the model in Node', () => {
  let explorer: Explorer;
  let explorerPage: ExplorerPage;
  let model: Transformer;
  let letters: Tokenizer;
  let sounds: Tokenizer;

  beforeAll(async () => {
    explorer = await Explorer.start();
    explorerPage = await explorer.open('pronounce');
    model = await modelInNode();
    letters = model.tokenizers.source as Tokenizer;
    sounds = model.tokenizers.target as Tokenizer;
  });
  afterAll(() => explorer?.close());

  const name = (id: number) => (id === sounds.eosId ? 'end' : (sounds.idToToken(id) as string));
  const names = (ids: readonly number[]) => ids.map(name).join(' ');

  async function cards(): Promise<Card[]> {
    const all: Locator[] = await explorerPage.page.locator('.step').all();
    return Promise.all(
      all.map(async (card) => {
        const candidates = await Promise.all(
          (await card.locator('.candidate').all()).map(async (row) => ({
            name: (await row.locator('.candidate-name').textContent()) as string,
            says: (await row.locator('.candidate-percent').textContent()) as string,
          })),
        );
        return { chosen: (await card.getAttribute('data-token')) as string, candidates };
      }),
    );
  }

  /** log P(next) after the start and each token of an answer. */
  async function logProbabilities(word: string, target: readonly number[]): Promise<Float32Array[]> {
    const logits = model.forward([letters.encode(word)], [[sounds.bosId as number, ...target]]);
    const all = (await logSoftmax(logits).data()) as Float32Array;
    const { targetVocab } = model.config;
    return Array.from({ length: target.length + 1 }, (_, i) => all.slice(i * targetVocab, (i + 1) * targetVocab));
  }

  /** Within what rounding to a digit after the point leaves open. */
  function expectPercent(says: string, probability: number): void {
    if (says === '<0.1 %') expect(probability).toBeLessThan(0.0011);
    else expect(Math.abs(Number.parseFloat(says) - 100 * probability)).toBeLessThan(0.06);
  }

  it.each(['transformer', 'phoenix', "o'clock"])('%s, greedily, with the probabilities of each step', async (word) => {
    const { sequences } = await model.generate([letters.encode(word)]);
    const target = sequences[0] as number[];
    expect(await explorerPage.say(word)).toBe(names(target));
    const steps = await logProbabilities(word, target);
    const shown = await cards();
    expect(shown.map(({ chosen }) => chosen)).toEqual([...target, sounds.eosId as number].map(name));
    for (const [i, { candidates }] of shown.entries()) {
      expect(candidates).toHaveLength(6);
      const probabilities = (steps[i] as Float32Array).map(Math.exp);
      const best = [...probabilities].sort((a, b) => b - a).slice(0, 6);
      for (const [rank, { name, says }] of candidates.entries()) {
        const id = name === 'end' ? sounds.eosId : sounds.tokenToId(name);
        expectPercent(says, probabilities[id as number] as number);
        expectPercent(says, best[rank] as number);
      }
    }
  });

  it('continues the output after another sound is chosen', async () => {
    const { page } = explorerPage;
    await explorerPage.say('record');
    const second = page.locator('.step').nth(1).locator('.candidate').nth(1);
    const other = sounds.tokenToId((await second.locator('.candidate-name').textContent()) as string) as number;
    const first = sounds.tokenToId((await cards())[0]?.chosen as string) as number;
    await second.click();
    const prefix = [first, other];
    const { sequences } = await model.generate([letters.encode('record')], { prefix });
    expect(await explorerPage.said()).toBe(names(sequences[0] as number[]));
    await page.getByRole('button', { name: 'Let the model choose' }).click();
    const free = await model.generate([letters.encode('record')]);
    expect(await explorerPage.said()).toBe(names(free.sequences[0] as number[]));
  });

  it('shows the hypotheses of beam search, their scores, and the tree', async () => {
    const { page } = explorerPage;
    await explorerPage.say('colonel');
    await page.getByText('Beam search').click();
    await page.getByLabel('Beams').fill('5');
    await page.getByLabel('Length penalty').fill('0.6');
    await explorerPage.settled();
    const found = await model.generate([letters.encode('colonel')], {
      numBeams: 5,
      numReturnSequences: 5,
      lengthPenalty: 0.6,
    });
    const rows = await page.locator('.hypotheses tbody tr').all();
    expect(rows).toHaveLength(5);
    for (const [i, row] of rows.entries()) {
      const [spelled, score] = await row.locator('td').allTextContents();
      expect(spelled).toBe(names(found.sequences[i] as number[]));
      expect(Number(score?.replace('−', '-'))).toBeCloseTo(found.scores[i] as number, 2);
    }
    const answer = await page.locator('.beam-spot.best .beam-name').allTextContents();
    expect(answer.slice(1)).toEqual([...(found.sequences[0] as number[]), sounds.eosId as number].map(name));
    // Five beginnings live on after the first sound, and as many that were pruned are shown.
    expect(await page.locator('.beam-spot[aria-level="2"]:is(.alive, .finished)').count()).toBe(5);
    expect(await page.locator('.beam-spot[aria-level="2"].pruned').count()).toBe(5);

    await page.locator('.beam-spot').first().focus();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowDown');
    expect(await page.locator('.beam-spot:focus').getAttribute('aria-label')).toMatch(/log-probability −\d/);
  });

  it('draws the same sample for the same seed, and shows the effect of the sliders as bars', async () => {
    const { page } = explorerPage;
    await explorerPage.say('photograph');
    await page.getByText('Sampling').click();
    await page.getByLabel('Temperature').fill('1.5');
    await page.getByLabel('Top-k').fill('5');
    await page.getByLabel('Top-p').fill('0.9');
    await page.getByRole('button', { name: 'Draw again' }).click();
    const said = await explorerPage.said();
    const options = { doSample: true, temperature: 1.5, topK: 5, topP: 0.9, seed: 1 };
    const { sequences } = await model.generate([letters.encode('photograph')], options);
    const target = sequences[0] as number[];
    expect(said).toBe(names(target));
    const steps = await logProbabilities('photograph', target);
    for (const [i, { candidates }] of (await cards()).entries()) {
      const scores = (steps[i] as Float32Array).slice();
      for (const process of [temperature(1.5), topK(5), topP(0.9)]) process(scores, []);
      const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
      for (const { name, says } of candidates) {
        const chance = Math.exp(scores[(name === 'end' ? sounds.eosId : sounds.tokenToId(name)) as number]!) / total;
        if (says === 'cut off') expect(chance).toBe(0);
        else expectPercent(says, chance);
      }
    }
    const heights = await page
      .locator('.candidate')
      .evaluateAll((all) => all.map((candidate) => candidate.getBoundingClientRect().height));
    expect(Math.max(...heights)).toBeCloseTo(Math.min(...heights)); // none needs two lines
  });

  it('logs no errors', () => expect(explorerPage.trouble).toEqual([]));
});
