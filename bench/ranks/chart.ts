// Fits a model of a step's time to points in bench/results/ranks.json: 2 and 4 hosts at 1 Gbit/s and 100 Mbit/s. Checks
// it with the other points, and draws its predictions as docs/ranks.svg: `npx tsx bench/ranks/chart.ts`.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { resultsFolder } from '../harness/bench.js';
import type { RankPoint } from '../ranks.js';
import { type Constants, fitted, type Measured, type Point, secondsOf } from './model.js';

interface Results {
  readonly machine: { readonly cores?: number };
  readonly points: readonly RankPoint[];
}

const { points } = JSON.parse(readFileSync(join(resultsFolder, 'ranks.json'), 'utf8')) as Results;
const CORES = 2;

const computeOf = (ranks: number) =>
  points.find((point) => point.travel === 'never' && point.ranks === ranks)?.seconds ?? Number.NaN;

const measured = points.flatMap((point): (Measured & { name: string })[] => {
  const { name, ranks, link, travel, parameters, seconds } = point;
  if (link === null) return [];
  const where = { ranks, bitsPerSecond: link.bitsPerSecond, latency: link.seconds, parameters };
  const compute = computeOf(ranks);
  return [{ ...where, name, compute, sharing: ranks / CORES, overlapped: travel === 'overlapped', seconds }];
});
const isFitted = ({ name }: { name: string }) => /^[24] hosts, (1 G|100 M)/.test(name);
const constants = fitted(measured.filter(isFitted));
console.log(constants);
let worst = 0;
for (const point of measured) {
  const predicted = secondsOf(point, constants);
  const error = predicted / point.seconds - 1;
  if (!isFitted(point)) worst = Math.max(worst, Math.abs(error));
  const role = isFitted(point) ? 'fitted ' : 'checked';
  console.log(
    `${role} ${point.name.padEnd(40)} ${(1000 * point.seconds).toFixed(0).padStart(5)} ms, ` +
      `predicted ${(1000 * predicted).toFixed(0).padStart(5)} (${(100 * error).toFixed(0)} %)`,
  );
}
console.log(`worst of the points that were not fitted: ${(100 * worst).toFixed(0)} %`);

/** Assumptions about each rank and its work in a step. */
const MACHINE = { flops: 1e12, tokens: 8192, latency: 5e-5 };
const RANKS = Array.from({ length: 10 }, (_, i) => 2 ** (i + 1));
const LINKS = [1, 10, 25, 100] as const;
const SIZES = [
  { name: '100 M parameters', parameters: 1e8 },
  { name: '1 B parameters', parameters: 1e9 },
] as const;

function pointOf(parameters: number, ranks: number, gigabits: number): Point {
  const compute = (6 * parameters * MACHINE.tokens) / MACHINE.flops;
  const where = { ranks, bitsPerSecond: gigabits * 1e9, latency: MACHINE.latency, parameters };
  return { ...where, compute, sharing: 1, overlapped: true };
}

/** Times as many tokens a second as one rank. */
function speedup(point: Point, known: Constants): number {
  return (point.ranks * point.compute) / secondsOf(point, known);
}

for (const { name, parameters } of SIZES)
  for (const gigabits of LINKS) {
    const shares = RANKS.map((ranks) => {
      const point = pointOf(parameters, ranks, gigabits);
      return `${(100 * (speedup(point, constants) / ranks)).toFixed(0)} %`;
    });
    console.log(`${name}, ${gigabits} Gbit/s: ${shares.join(' ')} of N times one rank, N = ${RANKS.join(', ')}`);
  }

const [width, height, left, top, gap] = [380, 260, 52, 34, 60];
const COLORS = ['#b3261e', '#c77700', '#3a7d34', '#1f5fa8'];

function panel({ name, parameters }: (typeof SIZES)[number], offset: number): string {
  const x = (ranks: number) => offset + left + ((Math.log2(ranks) - 1) / 9) * width;
  const y = (share: number) => top + height * (1 - share);
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<line x1="${x(2)}" x2="${x(1024)}" y1="${y(share)}" y2="${y(share)}" stroke="#ddd"/>` +
      `<text x="${x(2) - 6}" y="${y(share) + 4}" text-anchor="end">${100 * share} %</text>`,
  );
  const ticks = RANKS.filter((_, i) => i % 3 === 0).map(
    (ranks) => `<text x="${x(ranks)}" y="${top + height + 18}" text-anchor="middle">${ranks}</text>`,
  );
  const lines = LINKS.map((gigabits, i) => {
    const at = RANKS.map((ranks) => {
      const share = speedup(pointOf(parameters, ranks, gigabits), constants) / ranks;
      return `${x(ranks).toFixed(1)},${y(share).toFixed(1)}`;
    });
    const color = COLORS[i];
    const label = `<text x="${x(2) + 8}" y="${y(0) - 62 + 16 * i}" fill="${color}">${gigabits} Gbit/s</text>`;
    return `<polyline points="${at.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>${label}`;
  });
  const title = `<text x="${x(2)}" y="${top - 12}" font-weight="bold">${name}</text>`;
  const axis = `<text x="${x(45)}" y="${top + height + 36}" text-anchor="middle">ranks</text>`;
  return [title, ...grid, ...ticks, axis, ...lines].join('\n');
}

const total = [2 * (left + width) + gap + 20, top + height + 46] as const;
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.join(' ')}" width="${total[0]}" height="${total[1]}" font-family="sans-serif" font-size="12" role="img">
<title>Share of N times the speed of one rank that N ranks reach, predicted</title>
<rect width="100%" height="100%" fill="#fff"/>
${panel(SIZES[0], 0)}
${panel(SIZES[1], left + width + gap)}
</svg>
`;
writeFileSync(fileURLToPath(new URL('../../docs/ranks.svg', import.meta.url)), svg);
