// Exponents of growth, and their figure.

import { scaleLog } from 'd3-scale';

export type Point = readonly [size: number, value: number];

export interface Growth {
  readonly what: string;
  readonly unit: string;
  readonly measured: readonly Point[];
  /** The work in theory at the same sizes, in any unit. */
  readonly theory: readonly Point[];
}

/** The slope of the line that fits the logarithms best: 1 if the value doubles with the size. */
export function exponentOf(points: readonly Point[]): number {
  const logs = points.map(([size, value]) => [Math.log(size), Math.log(value)] as const);
  const mean = (at: 0 | 1) => logs.reduce((sum, log) => sum + log[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, log) => sum + (log[0] - x) * (log[1] - y), 0);
  return covariance / logs.reduce((sum, log) => sum + (log[0] - x) ** 2, 0);
}

const [WIDTH, HEIGHT, COLUMNS, MARGIN] = [360, 200, 3, 34];
const escapeXml = (text: string) => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
const short = (value: number) => new Intl.NumberFormat('en', { notation: 'compact' }).format(value);

/** One figure for each growth, with logarithmic axes: measured points, and theory as a line through the last one. */
export function growthChart(growths: readonly Growth[]): string {
  const rows = Math.ceil(growths.length / COLUMNS);
  const figures = growths.map((growth, i) => {
    const [left, top] = [(i % COLUMNS) * WIDTH, Math.floor(i / COLUMNS) * HEIGHT];
    return `<g transform="translate(${left} ${top})">${figure(growth)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${COLUMNS * WIDTH} ${rows * HEIGHT}" width="${COLUMNS * WIDTH}" height="${rows * HEIGHT}" role="img">
<title>Growth of time and memory, beside theory</title>
<style>
  text { font: 11px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .axis { stroke: #8886 }
  .theory { fill: none; stroke: #888; stroke-dasharray: 4 3 } circle { fill: #2a9d6f }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } }
</style>
${figures.join('\n')}
</svg>
`;
}

function figure({ what, unit, measured, theory }: Growth): string {
  const [lastSize, lastValue] = measured.at(-1) as Point;
  const scale = lastValue / (theory.at(-1) as Point)[1];
  const line = theory.map(([size, value]): Point => [size, value * scale]);
  const values = [...measured, ...line].map(([, value]) => value);
  const x = scaleLog([(measured[0] as Point)[0], lastSize], [MARGIN, WIDTH - MARGIN]);
  const y = scaleLog([Math.min(...values), Math.max(...values)], [HEIGHT - MARGIN, MARGIN + 18]);
  const place = ([size, value]: Point) => `${x(size).toFixed(1)},${y(value).toFixed(1)}`;
  const [found, expected] = [exponentOf(measured), exponentOf(theory)];
  const bottom = HEIGHT - MARGIN;
  return [
    `<text x="8" y="16" class="title">${escapeXml(what)}</text>`,
    `<text x="8" y="31">exponent ${found.toFixed(2)}, in theory ${expected.toFixed(2)}</text>`,
    `<path class="axis" d="M${MARGIN},${MARGIN + 8}V${bottom}H${WIDTH - MARGIN + 10}" fill="none"/>`,
    `<polyline class="theory" points="${line.map(place).join(' ')}"/>`,
    ...measured.map((point) => `<circle r="3.5" cx="${place(point).replace(',', '" cy="')}"/>`),
    `<text x="${MARGIN}" y="${bottom + 15}" text-anchor="middle">${short((measured[0] as Point)[0])}</text>`,
    `<text x="${WIDTH - MARGIN}" y="${bottom + 15}" text-anchor="middle">${short(lastSize)}</text>`,
    `<text x="${WIDTH / 2}" y="${bottom + 15}" text-anchor="middle">${escapeXml(unit)}</text>`,
  ].join('');
}
