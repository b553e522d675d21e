import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';
import { gzipSync } from 'node:zlib';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../equipment.js';
import { Explorer, takePicture } from './explorer.js';

const PARTS = ['pronounce', 'look-inside', 'follow-numbers', 'positions', 'teach', 'bring'];
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

const SCREENS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
  narrow: { viewport: { width: 360, height: 740 }, colorScheme: 'light', isMobile: true, hasTouch: true },
  wide: { viewport: { width: 3840, height: 2160 }, colorScheme: 'light' },
} as const;

/** Serious problems that axe finds, one example of each kind. */
async function seriousViolations(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate<AxeResults>('axe.run({ resultTypes: ["violations"] })');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}, ${nodes.length} times: ${nodes[0]?.html}`);
}

describeWith(['WebAssembly', 'Chromium'], 'the explorer’s page', () => {
  let explorer: Explorer;
  beforeAll(async () => {
    explorer = await Explorer.start();
  });
  afterAll(() => explorer?.close());

  it.each(Object.entries(SCREENS))('%s: every part fits and is accessible', async (screen, options) => {
    const { page, trouble } = await explorer.open('pronounce', { ...options, reducedMotion: 'reduce' });
    await page.addScriptTag({ path: axe });
    for (const part of PARTS) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, part);
      await page.locator('main .waiting').waitFor({ state: 'detached' });
      await page.locator('main .figure, main .drop').first().waitFor();
      await page.waitForTimeout(300); // figures are drawn a frame after their values are there
      await takePicture(page, `${part} ${screen}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, `${part}: pixels to scroll sideways`).toBeLessThanOrEqual(0);
      if (screen !== 'wide') expect(await seriousViolations(page), part).toEqual([]);
    }
    expect(trouble).toEqual([]);
    await page.context().close();
  });

  it.each(['light', 'dark'] as const)(
    '%s: accessible with the beam tree shown, while a model learns, and at a token in a head',
    async (colorScheme) => {
      const { page, trouble } = await explorer.open('pronounce', { colorScheme, reducedMotion: 'reduce' });
      await page.addScriptTag({ path: axe });
      await page.getByText('Beam search').click();
      await page.getByRole('treeitem', { selected: true }).first().waitFor();
      expect(await seriousViolations(page), 'the beam tree').toEqual([]);
      await page.evaluate(() => {
        location.hash = 'teach';
      });
      await page.getByRole('button', { name: 'Start teaching' }).click();
      await page.locator('.attempts').waitFor();
      expect(await seriousViolations(page), 'while it learns').toEqual([]);
      await page.evaluate(() => {
        location.hash = 'look-inside/decoder/2/3/4';
      });
      await page.getByRole('heading', { name: 'Layer 2, head 3', level: 3 }).waitFor();
      expect(await seriousViolations(page), 'at a token in a head').toEqual([]);
      expect(trouble).toEqual([]);
      await page.context().close();
    },
  );

  it('reports bad words in a friendly way, and continues with good ones', async () => {
    const explorerPage = await explorer.open();
    const before = await explorerPage.said();
    expect(await explorerPage.say('')).toMatch(/Type a word/);
    expect(await explorerPage.say('naïve 🙂')).toMatch(/never learnt “ï”, “ ”, “🙂”\. It reads ' a–z\./);
    expect(await explorerPage.say('e\u0301\u202e')).toMatch(/never learnt U\+0301, U\+202E\. It/);
    expect(await explorerPage.say("'")).toBe('(silence)');
    expect(await explorerPage.say('x'.repeat(10_000))).toMatch(/10,000 letters; this model reads 64 at most/);
    expect(await explorerPage.say('x'.repeat(65))).toMatch(/65 letters/);
    for (const part of ['Look inside', 'Follow the numbers', 'Positions']) await explorerPage.show(part);
    expect(await explorerPage.say('x'.repeat(64))).toMatch(/^[A-Z ]+$/);
    expect(await explorerPage.say('Transformer ')).toBe(before);
    expect(explorerPage.trouble).toEqual([]);
  });

  it('keeps up with fast typing: the last word is answered', async () => {
    const explorerPage = await explorer.open();
    const expected = await explorerPage.say('attention');
    await explorerPage.say('');
    await explorerPage.page.getByLabel('Word', { exact: true }).pressSequentially('attention');
    expect(await explorerPage.said()).toBe(expected);
  });

  it('the theme can be chosen, and parts are reached by keyboard', async () => {
    const { page } = await explorer.open('pronounce', { colorScheme: 'light' });
    await page.getByRole('button', { name: 'Switch to the dark theme' }).click();
    await expect.poll(() => page.evaluate(() => document.documentElement.dataset.theme)).toBe('dark');
    await page.keyboard.press('Tab');
    for (let i = 0; i < 3; i++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Positions', level: 2 }).waitFor();
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('main');
    await expect.poll(() => page.title()).toMatch(/^Positions/);
  });

  it('works in pages that are not cross-origin isolated', async () => {
    const isolated = await explorer.open();
    const alone = await explorer.open('pronounce', {}, false);
    expect(await alone.page.evaluate(() => crossOriginIsolated)).toBe(false);
    expect(await alone.say('phoenix')).toBe(await isolated.say('phoenix'));
    expect(alone.trouble).toEqual([]);
  });

  it('looks the same after any other part, because the styles of a part are its own', async () => {
    const looks = (page: Page) =>
      page.locator('main *').evaluateAll((all) =>
        all.map((element) => {
          const { height } = element.getBoundingClientRect();
          const { color, backgroundColor, fontSize, margin, position } = getComputedStyle(element);
          return [element.className, height, color, backgroundColor, fontSize, margin, position].join(' ');
        }),
      );
    const seen = await explorer.open('pronounce', { reducedMotion: 'reduce' });
    for (const part of ['Look inside', 'Follow the numbers', 'Positions', 'Teach it']) {
      await seen.show(part);
      await seen.page.locator('main .figure').first().waitFor();
    }
    for (const [id, part] of [
      ['pronounce', 'Pronounce'],
      ['look-inside', 'Look inside'],
    ] as const) {
      await seen.show(part);
      const { page } = await explorer.open(id, { reducedMotion: 'reduce' });
      await expect
        .poll(async () => isDeepStrictEqual(await looks(seen.page), await looks(page)), { timeout: 20_000 })
        .toBe(true);
      await page.context().close();
    }
    await seen.page.context().close();
  });

  it('bars and selections are visible with forced colours', async () => {
    const { page } = await explorer.open('pronounce', { forcedColors: 'active' });
    const background = (selector: string) =>
      page
        .locator(selector)
        .first()
        .evaluate((element) => getComputedStyle(element).backgroundColor);
    const body = await background('body');
    expect(await background('.candidate .bar')).not.toBe(body);
    const label = (chosen: boolean) => background(`.choice label${chosen ? ':has(:checked)' : ':not(:has(:checked))'}`);
    expect(await label(true)).not.toBe(await label(false));
  });

  it('nothing covers the focused element, and the header leaves room on low screens', async () => {
    const { page } = await explorer.open('pronounce', { viewport: { width: 1280, height: 720 } });
    await page.getByRole('link', { name: /^Next/ }).focus();
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Shift+Tab');
      const covered = await page.evaluate(() => {
        const { bottom } = (document.activeElement as Element).getBoundingClientRect();
        const header = document.querySelector('.top') as Element;
        return !header.contains(document.activeElement) && bottom <= header.getBoundingClientRect().bottom;
      });
      expect(covered, `press ${i}`).toBe(false);
    }
    await page.setViewportSize({ width: 320, height: 256 }); // 1280 by 1024 at 400 %
    await page.evaluate(() => scrollTo(0, 1000));
    await expect
      .poll(() => page.locator('.top').evaluate((header) => header.getBoundingClientRect().bottom))
      .toBeLessThan(0);
  });

  it('the beam tree grows with the page’s text', async () => {
    const heightOfNames = async (width: number, height: number) => {
      const { page } = await explorer.open('pronounce', { viewport: { width, height } });
      await page.getByText('Beam search').click();
      const { height: drawn } = (await page.locator('.beam-name').first().boundingBox())!;
      return (
        drawn / (await page.evaluate(() => Number.parseFloat(getComputedStyle(document.documentElement).fontSize)))
      );
    };
    expect(await heightOfNames(3840, 2160)).toBeCloseTo(await heightOfNames(1280, 900), 1);
  });

  it('shows the name of the open part if there is no room for all', async () => {
    const { page } = await explorer.open('teach', { viewport: { width: 360, height: 740 } });
    const name = page.getByRole('navigation').getByRole('link', { name: 'Teach it' });
    const inside = () =>
      name.evaluate((link) => {
        const { left, right } = link.getBoundingClientRect();
        return left >= 0 && right <= innerWidth;
      });
    await expect.poll(inside).toBe(true);
    await page.getByRole('link', { name: /^Next/ }).click();
    await page.goBack();
    await expect.poll(inside).toBe(true);
  });

  it('shows the cell that arrow keys select, and Escape hides its text', async () => {
    const { page } = await explorer.open('positions', { viewport: { width: 1280, height: 300 } });
    const grid = page.getByRole('grid', { name: /^Sinusoidal/ });
    await grid.focus();
    for (let i = 0; i < 47; i++) await page.keyboard.press('ArrowDown');
    const seen = () =>
      page.locator('.outline.active').evaluate((cell) => {
        const { top, bottom } = cell.getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight;
      });
    expect(await seen()).toBe(true);
    for (let i = 0; i < 47; i++) await page.keyboard.press('ArrowUp');
    expect(await seen()).toBe(true);
    await grid.blur();
    await grid.hover();
    await page.locator('.tooltip').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.tooltip').waitFor({ state: 'detached' });
  });

  it('follows an address that changes within a part', async () => {
    const { page } = await explorer.open('look-inside/encoder/1/2/1');
    await page.getByRole('heading', { name: 'Layer 1, head 2', level: 3 }).waitFor();
    await page.evaluate(() => {
      location.hash = 'look-inside/cross/3/4/1';
    });
    await page.getByRole('heading', { name: 'Layer 3, head 4', level: 3 }).waitFor();
    await page.goBack();
    await page.getByRole('heading', { name: 'Layer 1, head 2', level: 3 }).waitFor();
  });

  it('downloads less than 5.5 MB, including the model', async () => {
    const { page } = await explorer.open();
    for (const part of PARTS) {
      await page.evaluate((hash) => {
        location.hash = hash;
      }, part);
      await page.locator('main .waiting').waitFor({ state: 'detached' });
    }
    const bytes = await page.evaluate(() =>
      [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')].reduce(
        (sum, entry) => sum + (entry as PerformanceResourceTiming).encodedBodySize,
        0,
      ),
    );
    expect(bytes).toBeGreaterThan(3e6);
    expect(bytes).toBeLessThan(5.5e6);
  });

  it('its first view loads less than 300 kB besides the model, as hosts compress it', async () => {
    const { page } = await explorer.open();
    const names = await page.evaluate(() =>
      [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')].map(
        ({ name }) => name,
      ),
    );
    const paths = names.map((name) => new URL(name).pathname.replace('/some/path/', ''));
    const besides = paths.filter((path) => !path.startsWith('model/'));
    expect(paths.length - besides.length).toBe(4);
    const sizes = besides.map(async (path) => gzipSync(await readFile(`${explorer.folder}${path}`)).length);
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    expect(bytes).toBeGreaterThan(100e3);
    expect(bytes).toBeLessThan(300e3);
  });

  it('reports that its model cannot be loaded', async () => {
    const page = await explorer.openWithout('model.safetensors');
    await page.getByRole('alert').getByText('model.safetensors gave HTTP status 404').waitFor();
    await page.getByRole('navigation').getByRole('link', { name: 'Bring a model' }).click();
    await page.getByText('Drop a model’s folder or files here').waitFor();
    expect(await page.locator('#said[aria-busy=false]').textContent()).toBe('There is no model.');
  });

  it('reports a lost connection, and continues when it returns', async () => {
    const { page } = await explorer.open();
    await page.context().setOffline(true);
    const open = (name: string) => page.getByRole('navigation').getByRole('link', { name }).click();
    await open('Look inside');
    await page.getByRole('alert').getByText('This part did not load. Check the connection').waitFor();
    expect(await page.getByText('Loading…').count()).toBe(0);
    await page.context().setOffline(false);
    await open('Teach it');
    await open('Look inside');
    await page.locator('.thumbnail').first().waitFor();
    expect(await page.getByText('did not load').count()).toBe(0);

    await open('Teach it');
    await page.context().setOffline(true);
    await page.getByRole('button', { name: 'Start teaching' }).click();
    await page.getByRole('alert').getByText('words.tsv could not be reached. Check the connection').waitFor();
  });
});
