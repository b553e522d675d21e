// Experiments of the explorer with models that are brought: what it shows is what Node computes.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { beforeAll, expect, it } from 'vitest';
import { constrain } from '../../src/constrain/index.js';
import type { DraftEvent } from '../../src/index.js';
import { trace, withoutHeads } from '../../src/inspect/index.js';
import { MixtureOfExperts, type Stack } from '../../src/nn/index.js';
import { type LoadedModel, loadTokenizer } from '../../src/pretrained/index.js';
import { describeWith } from '../equipment.js';
import { testData } from '../test-data.js';
import { expectNear, takePicture } from './explorer.js';
import { CHARACTERS, filesOf, GuestPage, openGuestPage, payload } from './guest-page.js';

const stories = testData('checkpoints/tinystories-656k').path;

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

describeWith(['WebAssembly', 'Chromium'], 'experiments of the explorer', () => {
  const guest = openGuestPage();
  let model: LoadedModel;
  beforeAll(async () => {
    model = await load(stories);
  });

  const load = guest.load.bind(guest);
  const idsOf = (text: string) => model.tokenizer!.encode(text, { addSpecial: true });
  const greedy = { numBeams: 1, doSample: false };

  /** Hidden states of a text, layer by layer, and the best token after each token. */
  async function passOf(some: LoadedModel, ids: readonly number[]) {
    const { hiddenStates = [], logits } = some.forward({ inputIds: [[...ids]] }, { hiddenStates: true });
    const scores = (await logits!.data()) as Float32Array;
    const rows = ids.map((_, i) => scores.subarray(i * some.vocabSize, (i + 1) * some.vocabSize));
    const states = await Promise.all(hiddenStates.map(async (state) => (await state.data()) as Float32Array));
    return { states, best: rows.map((row) => row.indexOf(Math.max(...row))), rows };
  }

  const norm = (x: Float32Array) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

  it('fewer bits: the error of each layer and token, and the guesses that change', async () => {
    await guest.bring(await filesOf(stories));
    const text = 'One day a girl named Lily';
    await guest.read(text);
    const ids = idsOf(text);
    const exact = await passOf(model, ids);
    for (const [format, allowed] of [
      ['int4', 0.03],
      ['int8', 0.1],
    ] as const) {
      if (format === 'int4') await guest.experiment('Fewer bits');
      else await guest.page.getByLabel('Format of the weights').getByText(format).click();
      const packedModel = await load(stories, { weights: format });
      const packed = await passOf(packedModel, ids);
      packedModel.dispose();
      const errors = exact.states.map((state, i) => {
        return norm(state.map((value, at) => value - packed.states[i]![at]!)) / norm(state);
      });
      const changed = exact.best.filter((token, i) => token !== packed.best[i]).length;
      const says = await guest.answer();
      expect(says).toMatch(`The best guess changes at ${changed} of ${ids.length} tokens.`);
      expectNear(says.match(/error is ([\d.]+) %/)![1]!, 100 * errors.at(-1)!, allowed * 100 * errors.at(-1)! + 0.05);
      const chart = await guest.page.getByRole('img', { name: 'Error by layer' }).getAttribute('aria-label');
      const shown = [...chart!.matchAll(/([\d.]+) %/g)].map(([, number]) => Number(number));
      expect(shown).toHaveLength(errors.length);
      for (const [i, error] of errors.entries())
        expect(Math.abs(shown[i]! - 100 * error)).toBeLessThan(allowed * 100 * error + 0.06);
    }
    await takePicture(guest.page, 'guest precision');
    expect(guest.brought.trouble).toEqual([]);
  });

  it('fewer bits of a GGUF file: its own blocks, compared with float32', async () => {
    const path = `${stories}/tinystories-656k-Q8_0.gguf`;
    await guest.bring([payload('tiny.gguf', await readFile(path))]);
    const ids = idsOf('Once upon a time');
    await guest.read('Once upon a time');
    await guest.experiment('Fewer bits');
    await guest.page.getByLabel('Format of the weights').getByText('as in the file').click();
    const [exact, packed] = await Promise.all(
      (['float32', 'auto'] as const).map(async (weights) => passOf(await load(path, { weights }), ids)),
    );
    const last = exact!.states.at(-1)!;
    const error = norm(last.map((value, at) => value - packed!.states.at(-1)![at]!)) / norm(last);
    expect(error).toBeGreaterThan(0.001);
    await expect
      .poll(async () => Number.parseFloat((await guest.answer()).match(/error is ([\d.]+)/)?.[1] ?? ''))
      .toBeCloseTo(100 * error, 1);
    expect(guest.brought.trouble).toEqual([]);
  });

  it('a schema: what it allows at each step, and what the model would rather say', async () => {
    const folder = testData('families/llama').path;
    const writer = await load(folder);
    const tokenizer = await loadTokenizer(CHARACTERS);
    await guest.bring([...(await filesOf(folder)), payload('tokenizer.json', CHARACTERS)]);
    const text = 'Tom is a boy. ';
    await guest.read(text);
    const says = await guest.experiment('A schema');
    const schema = JSON.parse(await guest.page.locator('#guest-schema').inputValue());
    const { logitsProcessors, stop } = await constrain(
      tokenizer,
      { type: 'json_schema', schema },
      {
        stopTokens: writer.endIds,
      },
    );
    const steps: { allowed: number; chosen: number; forbidden: number }[] = [];
    let free = new Float32Array();
    const bestOf = (fits: (id: number) => boolean) =>
      free.reduce((best, value, id) => (fits(id) && !(value <= free[best]!) ? id : best), -1);
    const { sequences } = await writer.generate([tokenizer.encode(text)], {
      ...greedy,
      maxNewTokens: 48,
      stop,
      logitsProcessors: [
        (scores) => {
          free = scores.slice();
        },
        ...logitsProcessors,
        (scores) => {
          const isFree = (id: number) => scores[id] !== Number.NEGATIVE_INFINITY;
          const allowed = scores.filter((score) => score !== Number.NEGATIVE_INFINITY).length;
          steps.push({ allowed, chosen: bestOf(isFree), forbidden: bestOf((id) => !isFree(id)) });
        },
      ],
    });
    expect(says).toContain(tokenizer.decode(sequences[0]!));
    const rows = guest.page.locator('.steps-table tbody tr');
    expect(await rows.count()).toBe(steps.length);
    const texts = await rows.evaluateAll((all) =>
      all.map((row) => Array.from(row.children, (cell) => cell.textContent)),
    );
    for (const [i, { allowed, chosen, forbidden }] of steps.entries()) {
      expect(texts[i]![1]).toMatch(new RegExp(`^${allowed.toLocaleString('en')} `));
      const name = tokenizer.decode([chosen]).trim();
      if (name) expect(texts[i]![0]).toContain(name);
      const other = tokenizer.decode([forbidden]).trim();
      if (other && !other.includes('\ufffd')) expect(texts[i]![3]).toContain(other);
    }
    await takePicture(guest.page, 'guest schema');
    await guest.page.locator('#guest-schema').fill('{');
    await expect.poll(() => guest.answer()).toBe('The schema is not a JSON object.');
    await guest.page.locator('#guest-schema').fill('{"type":"nothing"}');
    await expect.poll(() => guest.answer()).toMatch(/nothing/);
    expect(guest.brought.trouble).toEqual([]);
  });

  it.each(['copy', 'prompt'] as const)('guessed tokens: accepted and rejected ones, by %s', async (drafter) => {
    await guest.bring(await filesOf(stories));
    const text = 'The cat sat. The dog sat. The cat sat. The dog';
    await guest.read(text);
    await guest.experiment('Guessed tokens');
    if (drafter === 'prompt') await guest.page.getByText('The text itself').click();
    const draft: 'prompt' | LoadedModel = drafter === 'copy' ? await load(stories, { weights: 'int4' }) : 'prompt';
    const events: DraftEvent[] = [];
    const options = { ...greedy, maxNewTokens: 48, draft, onDraft: (event: DraftEvent) => events.push(event) };
    const { sequences } = await model.generate([idsOf(text)], options);
    const [written] = sequences as [number[]];
    const accepted = events.reduce((sum, event) => sum + event.accepted, 0);
    const guessed = events.reduce((sum, { tokens }) => sum + tokens.length, 0);
    expect(accepted).toBeGreaterThan(0);
    const { page } = guest;
    await expect
      .poll(() => guest.answer())
      .toMatch(`${accepted} of ${guessed} guesses accepted: ${written.length} tokens`);
    expect(await page.locator('.drafts ins').count()).toBe(accepted);
    expect(await page.locator('.drafts del').count()).toBe(guessed - accepted);
    const kept = (await page.locator('.drafts ins, .drafts .own').allTextContents()).join('');
    expect(kept).toBe(written.map((id) => model.tokenizer!.decode([id]).trim()).join(''));
    await takePicture(page, `guest drafts ${drafter}`);
    expect(guest.brought.trouble).toEqual([]);
  });

  it('experts: the choice of each layer and token, with weights', async () => {
    const folder = testData('families/olmoe').path;
    const mixture = await load(folder);
    await guest.bring(await filesOf(folder));
    const ids = [5, 9, 17, 4, 6];
    await guest.read(ids.join(' '));
    const layers: { ids: Int32Array; weights: Float32Array; chosen: number }[] = [];
    const waiting: Promise<void>[] = [];
    for (const part of mixture.modules())
      if (part instanceof MixtureOfExperts)
        part.observe(({ ids, weights }) => {
          const layer = layers.push({ ids: new Int32Array(), weights: new Float32Array(), chosen: ids.shape[1]! }) - 1;
          waiting.push(
            Promise.all([ids.data(), weights.data()]).then(([chosen, factors]) => {
              layers[layer] = { ids: chosen as Int32Array, weights: factors as Float32Array, chosen: ids.shape[1]! };
            }),
          );
        });
    mixture.forward({ inputIds: [ids] });
    await Promise.all(waiting);
    expect(await guest.experiment('Experts')).toMatch(`${layers.length} layers choose ${layers[0]!.chosen} of`);
    const cells = await guest.cells(/^Best expert/, layers.length, ids.length);
    for (const [row, layer] of layers.entries())
      for (let token = 0; token < ids.length; token++) {
        const chosen = Array.from({ length: layer.chosen }, (_, i) => ({
          expert: layer.ids[token * layer.chosen + i]! + 1,
          weight: layer.weights[token * layer.chosen + i]!,
        })).sort((a, b) => b.weight - a.weight);
        const shown = [...cells[row]![token]!.matchAll(/expert (\d+) ([\d.]+)/g)];
        expect(shown.map(([, expert]) => Number(expert))).toEqual(chosen.map(({ expert }) => expert));
        for (const [i, [, , weight]] of shown.entries()) expectNear(weight!, chosen[i]!.weight, 0.0051);
      }
    await takePicture(guest.page, 'guest experts');
    expect(guest.brought.trouble).toEqual([]);
    mixture.dispose();
  });

  it('switched-off heads: the predictions without them', async () => {
    await guest.bring(await filesOf(stories));
    const text = 'One day a girl named';
    await guest.read(text);
    const { page } = guest;
    const heads = [
      { attention: 'decoder', layer: 1, head: 2 },
      { attention: 'decoder', layer: 0, head: 3 },
    ] as const;
    for (const { layer, head } of heads) {
      await page
        .locator('.thumbnail')
        .nth(8 * layer + head)
        .click();
      await page.getByRole('heading', { name: `Layer ${layer + 1}, head ${head + 1}` }).waitFor();
      await page.getByRole('button', { name: 'Switch off' }).click();
    }
    const ids = idsOf(text);
    const { probabilities } = await withoutHeads(model, heads, () => trace(model, null, ids));
    const row = probabilities.data.slice(-model.vocabSize);
    const best = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]!);
    const shown = page.locator('.figure', { hasText: 'Without some heads' }).locator('.guesses').nth(1);
    await expect
      .poll(async () => Number.parseFloat((await shown.locator('.guess-percent').first().textContent()) ?? ''))
      .toBeCloseTo(100 * row[best[0]!]!, 0);
    expect(await shown.locator('.guess-name').first().textContent()).toBe(model.tokenizer!.decode([best[0]!]).trim());
    await takePicture(page, 'guest heads off');
    for (const name of ['Masked decoder, layer 2, head 3', 'Masked decoder, layer 1, head 4'])
      await page.getByRole('button', { name: `${name}: switch on` }).click();
    await page.getByText('All heads are on.').waitFor();
    expect(guest.brought.trouble).toEqual([]);
  });

  it('another text: the effect of its vectors, by layer and token', async () => {
    await guest.bring(await filesOf(stories));
    const [text, other] = ['Tom was a big', 'Tom was a red'];
    await guest.read(text);
    await guest.page.getByRole('button', { name: 'Another text' }).click();
    const [ids, others] = [idsOf(text), idsOf(other)];
    expect(others.length).toBe(ids.length);
    await guest.page.locator('#guest-other').fill(other);
    const says = await guest.answer();
    const [here, there] = [await passOf(model, ids), await passOf(model, others)];
    const [own, best] = [here.best.at(-1)!, there.best.at(-1)!];
    const difference = (row: Float32Array) => row[best]! - row[own]!;
    const [least, most] = [difference(here.rows.at(-1)!), difference(there.rows.at(-1)!)];
    expectNear(says.match(/: (−?[\d.]+) here/)![1]!, least, 0.011);
    const layers = model.decoder!.layers;
    const cells = await guest.cells(/^Effect on the prediction/, layers.length, ids.length);
    // Expected by a hook: the layer's input gets one row of the other text's.
    for (const [at, layer] of layers.entries())
      for (const token of ids.keys()) {
        const width = here.states[at]!.length / ids.length;
        const { forward } = layer;
        layer.forward = (x, ...rest) => {
          const rows = here.states[at]!.slice();
          rows.set(there.states[at]!.subarray(token * width, (token + 1) * width), token * width);
          return forward.call(layer, guest.device.tensor(rows, x.shape), ...rest);
        };
        const effect = (difference((await passOf(model, ids)).rows.at(-1)!) - least) / (most - least);
        layer.forward = forward;
        expectNear(cells[at]![token]!.split(': ')[1]!, effect, 0.011);
      }
    await takePicture(guest.page, 'guest patching');
    await guest.page.locator('#guest-other').fill('Tom');
    await expect.poll(() => guest.answer()).toMatch(/keep their number/);
    await guest.page.locator('#guest-other').fill(text);
    await expect.poll(() => guest.answer()).toMatch(/Both texts lead to/);
    expect(guest.brought.trouble).toEqual([]);
  });

  it.each(['bert-mlm', 't5', 'llama'])('guesses of %s by layer', async (name) => {
    const folder = testData(`families/${name}`).path;
    const layered = await load(folder);
    await guest.bring(await filesOf(folder));
    const ids = [5, 9, 17, 4, 6];
    await guest.read(ids.join(' '));
    const written = name === 't5' ? (await layered.generate([ids], { ...greedy, maxNewTokens: 32 })).sequences[0]! : [];
    const traced = layered.encoder
      ? await trace(layered, ids, ...(name === 't5' ? [[layered.startId ?? 0, ...written].slice(0, 5)] : []))
      : await trace(layered, null, ids);
    const { layers } = (traced.decoder ?? traced.encoder)!;
    const { shape, data } = layers[1]!.input; // the output of the first layer
    const stack = (layered.decoder ?? layered.encoder) as Stack;
    const state = guest.device.tensor(data, shape);
    const logits = layered.logitsOf(stack.norm?.forward(state) ?? state);
    const scores = (await logits.data()) as Float32Array;
    const [cells] = await guest.cells(/^Certainty of the prediction/, 1, 5);
    for (const [i, text] of cells!.entries()) {
      const row = scores.subarray(i * layered.vocabSize, (i + 1) * layered.vocabSize);
      const powers = row.map((score) => Math.exp(score - Math.max(...row)));
      const [, token, percent] = /layer 1: “(\d+)”, ([\d.]+) %/.exec(text)!;
      expect(Number(token)).toBe(row.indexOf(Math.max(...row)));
      expectNear(percent!, 100 / powers.reduce((a, b) => a + b), 0.11);
    }
    expect(guest.brought.trouble).toEqual([]);
    layered.dispose();
  });

  it.each([
    ['dark', { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' }],
    ['narrow', { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true }],
  ] as const)('are accessible and fit the page: %s', async (screen, options) => {
    const other = new GuestPage(await guest.explorer.open('bring', { ...options, reducedMotion: 'reduce' }));
    const { page } = other;
    await page.addScriptTag({ path: axe });
    await other.bring([...(await filesOf(testData('families/olmoe').path)), payload('tokenizer.json', CHARACTERS)]);
    await other.read('Tom is a boy.');
    for (const title of ['Fewer bits', 'A schema', 'Guessed tokens', 'Experts', 'Another text', 'Memory']) {
      const group = page.getByRole('group', { name: 'Experiments' });
      await group.getByRole('button', { name: title }).click();
      if (title === 'Another text') await page.locator('#guest-other').fill('Ann is a cat.');
      await other.answer();
      await page.waitForTimeout(300); // figures are drawn a frame after their values are there
      await takePicture(page, `experiment ${title} ${screen}`);
      const { violations } = await page.evaluate<AxeResults>('axe.run({ resultTypes: ["violations"] })');
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => `${title} ${id}: ${nodes[0]?.html}`)).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), title).toBeLessThanOrEqual(
        0,
      );
    }
    await page.context().close();
  });

  it('figures are saved as SVG', async () => {
    await guest.bring(await filesOf(stories));
    await guest.read('Tom ran <b>');
    await guest.experiment('Fewer bits');
    const { page } = guest;
    const figure = page.locator('.figure', { hasText: 'Error by layer' });
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      figure.getByRole('button', { name: 'Save as SVG' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('error-by-layer-with-fewer-bits.svg');
    const svg = await readFile(await download.path(), 'utf8');
    const found = await page.evaluate((text) => {
      const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
      return {
        errors: parsed.querySelectorAll('parsererror').length,
        cells: parsed.querySelectorAll('svg svg rect').length,
        lines: parsed.querySelectorAll('.series').length,
        stroke: (parsed.querySelector('.series') as SVGPathElement | null)?.style.stroke,
        texts: Array.from(parsed.querySelectorAll('text'), ({ textContent }) => textContent),
      };
    }, svg);
    expect(found).toMatchObject({ errors: 0, cells: 3 * idsOf('Tom ran <b>').length, lines: 1 });
    expect(found.stroke).toMatch(/rgb/);
    expect(found.texts).toEqual(expect.arrayContaining(['layer', 'input', '2']));
    expect(await page.locator('.figure', { hasText: 'What comes next' }).getByText('Save as SVG').isVisible()).toBe(
      false,
    );
  });

  it('a link restores the text and the experiment', async () => {
    await guest.bring(await filesOf(stories));
    await guest.read('Tom ran');
    await guest.experiment('Fewer bits');
    await guest.page.getByLabel('Format of the weights').getByText('int8').click();
    const hash = await guest.page.evaluate(() => location.hash.slice(1));
    const other = new GuestPage(await guest.explorer.open(hash));
    await other.bring(await filesOf(stories));
    expect(await other.field.inputValue()).toBe('Tom ran');
    expect(await other.answer()).toMatch(/error is/);
    expect(await other.page.locator('.experiments .choice :checked').locator('..').textContent()).toBe('int8');
    await other.page.context().close();
  });
});
