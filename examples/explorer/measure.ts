// Measures the explorer in Chromium with cached files: the time until the first word is pronounced, and the time of
// each frame. During the latter a model trains, and a user types and points.
//
//     npm run explorer:build && npx tsx examples/explorer/measure.ts
import { type BrowserContextOptions, type Page, chromium as playwright } from 'playwright-core';
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

/** A frame at 60 Hz was missed if more milliseconds passed between two frames. */
const MISSED = 20;
const ROUNDS = 3;

const server = await preview({ configFile: 'examples/explorer/vite.config.ts', preview: { port: 4180 } });
const url = server.resolvedUrls?.local[0] as string;
const browser = await playwright.launch(chromium);

const page = await browser.newPage();
console.log(`first pronunciation after ${describe(await firstPronunciations(page))} ms, files cached`);
await page.close();
for (const [screen, options] of Object.entries({
  '1280 × 720': { viewport: { width: 1280, height: 720 } },
  '3840 × 2160': { viewport: { width: 3840, height: 2160 } },
})) {
  console.log(`\nframes while training, ${screen}: ms apart, and how many were missed (over ${MISSED} ms)`);
  await useWhileTraining(options);
}
await browser.close();
await server.close();

/** Measures the milliseconds from navigation to the answer, for several reloads. */
async function firstPronunciations(page: Page): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    await page.goto(url);
    await page.locator('#said[aria-busy=false]').waitFor();
    times.push(await page.evaluate(() => performance.getEntriesByName('pronounced')[0]?.startTime ?? Number.NaN));
  }
  return times.slice(2); // the first two fill the caches of files and of compiled code
}

async function useWhileTraining(options: BrowserContextOptions): Promise<void> {
  const page = await browser.newPage(options);
  await page.goto(`${url}#teach`);
  await page.getByRole('button', { name: 'Start teaching' }).click();
  await page.locator('.attempts').waitFor();
  await page.evaluate(WATCH);
  for (const part of ['Teach it', 'Pronounce', 'Look inside', 'Follow the numbers', 'Positions']) {
    await page.getByRole('navigation').getByRole('link', { name: part }).click();
    await page.getByRole('heading', { name: part, level: 2 }).waitFor();
    await page.waitForTimeout(700); // waits until a new part is drawn
    await watched(page);
    for (let i = 0; i < ROUNDS; i++) await type(page);
    report(`${part}, typing`, await watched(page));
    const grid = page.locator('main canvas').first();
    if ((await grid.count()) === 0) continue;
    for (let i = 0; i < ROUNDS; i++) await point(page);
    report(`${part}, pointing`, await watched(page));
  }
  await page.close();
}

async function type(page: Page): Promise<void> {
  const word = page.getByLabel('Word', { exact: true });
  await word.fill('');
  await word.pressSequentially('attention', { delay: 60 });
}

/** Moves the pointer over the first large picture of the part. */
async function point(page: Page): Promise<void> {
  const grid = page.getByRole('grid').first();
  await grid.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await grid.boundingBox()) as { x: number; y: number; width: number; height: number };
  for (let move = 0; move < 40; move++) {
    await page.mouse.move(x + (width * move) / 40, y + (height * ((7 * move) % 40)) / 40);
    await page.waitForTimeout(16);
  }
}

interface Watched {
  readonly frames: number[];
  readonly events: number[];
}

/** The notes since the last call. */
function watched(page: Page): Promise<Watched> {
  return page.evaluate('({ frames: frameTimes.splice(0), events: eventTimes.splice(0) })');
}

function report(what: string, { frames, events }: Watched): void {
  const missed = frames.filter((time) => time > MISSED).length;
  const work = events.length > 0 ? `; slow events took ${describe(events)} ms` : '';
  console.log(`${what}: ${describe(frames)}, ${missed} of ${frames.length} missed${work}`);
}

function describe(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]?.toFixed(1) ?? '0';
  return `${at(0.5)} (95 %: ${at(0.95)}, most: ${at(1)})`;
}
