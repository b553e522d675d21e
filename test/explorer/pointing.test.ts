import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeWith } from '../equipment.js';
import { Explorer, type ExplorerPage } from './explorer.js';

describeWith(['WebAssembly', 'Chromium'], 'pointing at a picture', () => {
  let explorer: Explorer;
  beforeAll(async () => {
    explorer = await Explorer.start();
  });
  afterAll(() => explorer?.close());

  const tooltip = ({ page }: ExplorerPage) => page.locator('.tooltip');
  const head = ({ page }: ExplorerPage) => page.getByRole('grid', { name: /^Encoder, layer 1, head 1/ });
  const openHead = (options = {}) =>
    explorer.open('look-inside/encoder/1/1/1', { reducedMotion: 'reduce', ...options });

  it('continues while words change, with other and with fewer cells', async () => {
    const seen = await openHead();
    const { width, height } = (await head(seen).boundingBox())!;
    await head(seen).hover({ position: { x: width - 6, y: height - 6 } });
    expect(await tooltip(seen).textContent()).toMatch(/^r looks at r: /);
    await seen.say('transformed');
    await tooltip(seen)
      .getByText(/^d looks at d: /)
      .waitFor();
    expect(await seen.say('ab')).toMatch(/^[A-Z ]+$/);
    await tooltip(seen).waitFor({ state: 'detached' });
    expect(await seen.say('transformer')).toMatch(/^[A-Z ]+$/);
    expect(seen.trouble).toEqual([]);
  });

  it.each([
    ['a cell', async (seen: ExplorerPage) => head(seen).hover()],
    [
      'a beginning',
      async ({ page }: ExplorerPage) => {
        await page.getByRole('link', { name: 'Pronounce' }).click();
        await page.getByText('Beam search').click();
        await page.locator('.beam-name').nth(1).hover();
      },
    ],
  ])('ends when the picture of %s is removed', async (_, point) => {
    const seen = await openHead();
    await point(seen);
    await tooltip(seen).waitFor();
    await seen.page.evaluate(() => {
      location.hash = 'teach';
    });
    await seen.page.locator('.enrolment').waitFor();
    await tooltip(seen).waitFor({ state: 'detached' });
  });

  it("a tap of a finger shows a cell's text, and a tap elsewhere hides it", async () => {
    const seen = await openHead({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    await head(seen).tap();
    expect(await tooltip(seen).textContent()).toMatch(/looks at/);
    await seen.page.locator('figcaption').first().tap();
    await tooltip(seen).waitFor({ state: 'detached' });
  });
});
