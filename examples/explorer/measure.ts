// How fast the explorer is, in Chromium: until the first word is pronounced, its files being cached, and for each frame
// while a model is trained and somebody types and points.
//   npm run explorer:build && npx tsx examples/explorer/measure.ts
import { type Page, chromium as playwright } from 'playwright-core';
import { preview } from 'vite';
import { chromium } from '../../test/browser/chromium.js';

/** Runs in the page: notes the time between frames, and how long the page works for an event. */
const WATCH = `
  globalThis.frameTimes = [];
  globalThis.eventTimes = [];
  let last = performance.now();
  requestAnimationFrame(function frame(now) {
    frameTimes.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) eventTimes.push(entry.processingEnd - entry.processingStart);
  }).observe({ type: 'event', durationThreshold: 16 });
`;

const server = await preview({ configFile: 'examples/explorer/vite.config.ts', preview: { port: 4180 } });
const url = server.resolvedUrls?.local[0] as string;
const browser = await playwright.launch(chromium);
const page = await browser.newPage();

console.log(`first pronunciation after ${describe(await firstPronunciations(page))} ms, files cached`);
const { frames, events } = await useWhileTraining(page);
console.log(`frames while training, typing and pointing: ${describe(frames)} ms apart`);
console.log(`work for a key or a move of the pointer: ${describe(events)} ms`);
await browser.close();
await server.close();

/** Milliseconds from navigation to the answer, of reloads. */
async function firstPronunciations(page: Page): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    await page.goto(url);
    await page.locator('#said[aria-busy=false]').waitFor();
    times.push(await page.evaluate(() => performance.getEntriesByName('pronounced')[0]?.startTime ?? Number.NaN));
  }
  return times.slice(2); // the first two fill the caches of files and of compiled code
}

async function useWhileTraining(page: Page): Promise<{ frames: number[]; events: number[] }> {
  await page.goto(`${url}#teach`);
  await page.getByRole('button', { name: 'Start teaching' }).click();
  await page.locator('.attempts').waitFor();
  await page.getByRole('link', { name: 'Positions' }).click();
  const grid = page.getByRole('grid', { name: /Sinusoidal/ });
  await grid.waitFor();
  await page.evaluate(WATCH);
  const { x, y } = (await grid.boundingBox()) as { x: number; y: number };
  for (let i = 0; i < 8; i++) {
    await page.getByLabel('Word', { exact: true }).fill('');
    await page.getByLabel('Word', { exact: true }).pressSequentially('attention', { delay: 60 });
    for (let move = 0; move < 30; move++) {
      await page.mouse.move(x + 60 + 8 * move, y + 40 + 4 * move);
      await page.waitForTimeout(16);
    }
  }
  return page.evaluate('({ frames: frameTimes, events: eventTimes })');
}

function describe(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1) ?? '0';
  return `${at(0.5)} (95 %: ${at(0.95)}, most: ${at(1)})`;
}
