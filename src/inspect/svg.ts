// Pictures as SVG text: attention as grids of heat maps, training as curves. No DOM needed.

import { scaleLinear } from 'd3-scale';
import { interpolateViridis } from 'd3-scale-chromatic';
import { line } from 'd3-shape';
import { ArgumentError } from '../core/errors.js';
import { checkWeights } from './check-weights.js';

/** One map of a grid. */
export interface AttentionMap {
  readonly title: string;
  /** Row-major, a row for each query. */
  readonly weights: ArrayLike<number>;
}

const CELL = 14;
const GAP = 28;
/** Pixels of a character of the font. */
const CHARACTER = 7;
/** Labels of columns that are longer stand upright. */
const LYING = 3;
const STYLE = 'font: 11px ui-monospace, monospace; fill: #333';

/**
 * A grid of heat maps, one for each head: rows are queries, columns keys, dark is 0 and bright 1. `columns` says how
 * many stand side by side; default 4. Throws ArgumentError if the weights of a map do not fill it or one of them is not
 * finite, or if `columns` is not a positive integer.
 */
export function heatMapGridSvg(
  maps: readonly AttentionMap[],
  { queries, keys, columns = 4 }: { queries: readonly string[]; keys: readonly string[]; columns?: number | undefined },
): string {
  if (!(Number.isInteger(columns) && columns > 0)) {
    throw new ArgumentError(`heatMapGridSvg: columns is ${columns}, expected a positive integer`);
  }
  const label = CHARACTER * longest(queries) + 8;
  const upright = longest(keys) > LYING;
  const cellWidth = upright ? CELL : Math.max(CELL, CHARACTER * longest(keys) + 4);
  const top = 18 + (upright ? CHARACTER * longest(keys) + 2 : CELL - 2);
  const width =
    Math.max(label + keys.length * cellWidth, label + CHARACTER * longest(maps.map(({ title }) => title))) + GAP;
  const height = top + queries.length * CELL + GAP;
  const drawn = maps.map(({ title, weights }, i) => {
    checkWeights(`heatMapGridSvg: '${title}'`, weights, queries.length, keys.length);
    const cells = Array.from(weights, (weight, at) => {
      const [row, column] = [Math.floor(at / keys.length), at % keys.length];
      const place = `x="${label + column * cellWidth}" y="${top + row * CELL}" width="${cellWidth}" height="${CELL}"`;
      const hover = escapeXml(`${queries[row]} → ${keys[column]}: ${weight.toFixed(3)}`);
      return `<rect ${place} fill="${interpolateViridis(weight)}"><title>${hover}</title></rect>`;
    });
    const rows = queries.map(
      (text, q) => `<text x="${label - 4}" y="${top + (q + 0.8) * CELL}" text-anchor="end">${escapeXml(text)}</text>`,
    );
    const heads = keys.map((text, k) => {
      const x = label + (k + 0.5) * cellWidth;
      const place = upright
        ? `transform="translate(${x + 4}, ${top - 4}) rotate(-90)"`
        : `x="${x}" y="${top - 4}" text-anchor="middle"`;
      return `<text ${place}>${escapeXml(text)}</text>`;
    });
    const place = `translate(${(i % columns) * width + GAP / 2}, ${Math.floor(i / columns) * height + GAP / 2})`;
    const heading = `<text x="${label}" y="10" font-weight="bold">${escapeXml(title)}</text>`;
    return `<g transform="${place}">${heading}${heads.join('')}${rows.join('')}${cells.join('')}</g>`;
  });
  const across = Math.min(columns, maps.length);
  return svg(across * width + GAP / 2, Math.ceil(maps.length / columns) * height + GAP / 2, 'Attention weights', drawn);
}

/** Characters of the longest text, 1 at least. */
function longest(texts: readonly string[]): number {
  return texts.reduce((most, text) => Math.max(most, [...text].length), 1);
}

/** A curve of a chart. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Curves of so many points show each of them. */
const DOTS = 40;

const INK = ['#4269d0', '#ff725c', '#3ca951', '#a463f2'];

const isFinitePoint = (point: readonly [x: number, y: number]) => point.every(Number.isFinite);

/**
 * Curves over a common x axis, which starts at the smallest x; the y axis starts at 0. Points that are not finite are
 * left out and interrupt their curve. Throws ArgumentError if no point is left.
 */
export function curvesSvg(curves: readonly Curve[], { x, y }: { x: string; y: string }): string {
  const [width, height, left, bottom, top] = [720, 376, 56, 44, 32];
  const points = curves.flatMap((curve) => curve.points).filter(isFinitePoint);
  if (points.length === 0)
    throw new ArgumentError('curvesSvg: there are no points to draw, expected one with finite coordinates');
  const xs = points.map(([at]) => at);
  const least = xs.reduce((a, b) => Math.min(a, b));
  const most = xs.reduce((a, b) => Math.max(a, b));
  const highest = points.reduce((largest, [, value]) => Math.max(largest, value), 0);
  const toX = scaleLinear([least, Math.max(most, least + 1)], [left, width - 24]).nice();
  const toY = scaleLinear([0, highest || 1], [height - bottom, top]).nice();
  const grid = toY.ticks(6).map((tick) => {
    const rule = `<path d="M${left} ${toY(tick)}H${width - 24}" stroke="#ddd"/>`;
    return `${rule}<text x="${left - 6}" y="${toY(tick) + 4}" text-anchor="end">${tick}</text>`;
  });
  const ticks = toX
    .ticks(8)
    .map((tick) => `<text x="${toX(tick)}" y="${height - bottom + 16}" text-anchor="middle">${tick}</text>`);
  const draw = line<readonly [number, number]>(
    ([at]) => toX(at),
    ([, value]) => toY(value),
  ).defined(isFinitePoint);
  let legendX = left + 44;
  const lines = curves.map(({ name, points }, i) => {
    const ink = INK[i % INK.length];
    const key = `<path d="M${legendX} 8h18" stroke="${ink}" stroke-width="2"/>`;
    const text = `<text x="${legendX + 24}" y="12">${escapeXml(name)}</text>`;
    legendX += 44 + CHARACTER * [...name].length;
    // Points that are few are shown: there is no line through one.
    const dots = points.length > DOTS ? [] : points.filter(isFinitePoint);
    const marks = dots.map(([at, value]) => `<circle cx="${toX(at)}" cy="${toY(value)}" r="2.5" fill="${ink}"/>`);
    const curve = `<path d="${draw([...points]) ?? ''}" fill="none" stroke="${ink}" stroke-width="1.5"/>`;
    return `${curve}${marks.join('')}${key}${text}`;
  });
  const names = [
    `<text x="${width - 24}" y="${height - 8}" text-anchor="end">${escapeXml(x)}</text>`,
    `<text x="8" y="12">${escapeXml(y)}</text>`,
  ];
  return svg(width, height, `${y} by ${x}`, [...grid, ...ticks, ...lines, ...names]);
}

function svg(width: number, height: number, title: string, content: readonly string[]): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const open = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" style="${STYLE}">`;
  const background = `<rect width="${width}" height="${height}" fill="white"/>`;
  return `${open}<title>${escapeXml(title)}</title>${background}${content.join('')}</svg>\n`;
}

/** What XML has no way to write, as control characters and halves of surrogate pairs, is replaced. */
function escapeXml(text: string): string {
  const writable = text.replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}');
  return writable.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
