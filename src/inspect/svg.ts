// Pictures as SVG text: attention as grids of heat maps, training as curves. Needs no DOM.

import { checkArray, checkOptions, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { axis } from './axis.js';
import { checkWeights } from './check-weights.js';
import { viridis } from './viridis.js';

/** One heat map of a grid. */
export interface AttentionMap {
  readonly title: string;
  /** Row-major, one row per query. */
  readonly weights: ArrayLike<number>;
}

const TEXTS = listOf('string', 'an array of texts');

const CELL = 14;
const GAP = 28;
/** Width of a character in pixels. */
const CHARACTER = 7;
/** Maximum length of horizontal column labels; longer ones are vertical. */
const LYING = 3;
const STYLE = 'font: 11px ui-monospace, monospace; fill: #333';

/**
 * Draws a grid of heat maps, one per head. Rows are queries, columns are keys; dark is 0 and bright is 1. `columns` is
 * the number of maps side by side, default 4. Throws ArgumentError if `columns` is not a positive integer, or if a
 * map's weights do not fill it or are not finite.
 */
export function heatMapGridSvg(
  maps: readonly AttentionMap[],
  options: { queries: readonly string[]; keys: readonly string[]; columns?: number | undefined },
): string {
  const {
    queries,
    keys,
    columns = 4,
  } = checkOptions('heatMapGridSvg', options, {
    queries: TEXTS,
    keys: TEXTS,
    columns: 'count',
  });
  checkArray('heatMapGridSvg', 'queries', queries, TEXTS.expected);
  checkArray('heatMapGridSvg', 'keys', keys, TEXTS.expected);
  const label = CHARACTER * longest(queries) + 8;
  const upright = longest(keys) > LYING;
  const cellWidth = upright ? CELL : Math.max(CELL, CHARACTER * longest(keys) + 4);
  const top = 18 + (upright ? CHARACTER * longest(keys) + 2 : CELL - 2);
  const width =
    Math.max(label + keys.length * cellWidth, label + CHARACTER * longest(maps.map(({ title }) => title))) + GAP;
  const height = top + queries.length * CELL + GAP;
  const drawn = maps.map(({ title, weights }, i) => {
    checkWeights(`heatMapGridSvg: '${title}'`, weights, queries.length, keys.length);
    const cells = Array.from(weights, (weight, index) => {
      const [row, column] = [Math.floor(index / keys.length), index % keys.length];
      const geometry = `x="${label + column * cellWidth}" y="${top + row * CELL}" width="${cellWidth}" height="${CELL}"`;
      const hover = escapeXml(`${queries[row]} → ${keys[column]}: ${weight.toFixed(3)}`);
      return `<rect ${geometry} fill="${viridis(weight)}"><title>${hover}</title></rect>`;
    });
    const rows = queries.map(
      (text, q) => `<text x="${label - 4}" y="${top + (q + 0.8) * CELL}" text-anchor="end">${escapeXml(text)}</text>`,
    );
    const heads = keys.map((text, k) => {
      const x = label + (k + 0.5) * cellWidth;
      const anchor = upright
        ? `transform="translate(${x + 4}, ${top - 4}) rotate(-90)"`
        : `x="${x}" y="${top - 4}" text-anchor="middle"`;
      return `<text ${anchor}>${escapeXml(text)}</text>`;
    });
    const transform = `translate(${(i % columns) * width + GAP / 2}, ${Math.floor(i / columns) * height + GAP / 2})`;
    const heading = `<text x="${label}" y="10" font-weight="bold">${escapeXml(title)}</text>`;
    return `<g transform="${transform}">${heading}${heads.join('')}${rows.join('')}${cells.join('')}</g>`;
  });
  const across = Math.min(columns, maps.length);
  return svg(across * width + GAP / 2, Math.ceil(maps.length / columns) * height + GAP / 2, 'Attention weights', drawn);
}

/** Length of the longest text, at least 1. */
function longest(texts: readonly string[]): number {
  return texts.reduce((max, text) => Math.max(max, [...text].length), 1);
}

/** A curve of a chart. */
export interface Curve {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** Maximum number of points that are drawn as dots. */
const DOTS = 40;

const INK = ['#4269d0', '#ff725c', '#3ca951', '#a463f2'];

const isFinitePoint = (point: readonly [x: number, y: number]) => point.every(Number.isFinite);

/**
 * Draws curves over a common x axis, which starts at the smallest x. The y axis starts at 0. A point that is not finite
 * interrupts its curve. Throws ArgumentError if no point is finite.
 */
export function curvesSvg(curves: readonly Curve[], options: { x: string; y: string }): string {
  const { x, y } = checkOptions('curvesSvg', options, { x: 'string', y: 'string' });
  for (const [name, title] of [
    ['x', x],
    ['y', y],
  ])
    if (title === undefined) throw new ArgumentError(`curvesSvg: ${name} is undefined, expected the title of an axis`);
  const [width, height, left, bottom, top] = [720, 376, 56, 44, 32];
  const points = curves.flatMap((curve) => curve.points).filter(isFinitePoint);
  if (points.length === 0)
    throw new ArgumentError('curvesSvg: there are no points to draw, expected one with finite coordinates');
  const xs = points.map(([xValue]) => xValue);
  const min = xs.reduce((a, b) => Math.min(a, b));
  const max = xs.reduce((a, b) => Math.max(a, b));
  const highest = points.reduce((largest, [, value]) => Math.max(largest, value), 0);
  const toX = axis([min, Math.max(max, min + 1)], [left, width - 24]);
  const toY = axis([0, highest || 1], [height - bottom, top]);
  const grid = toY.ticks(6).map((tick) => {
    const rule = `<path d="M${left} ${toY(tick)}H${width - 24}" stroke="#ddd"/>`;
    return `${rule}<text x="${left - 6}" y="${toY(tick) + 4}" text-anchor="end">${tick}</text>`;
  });
  const ticks = toX
    .ticks(8)
    .map((tick) => `<text x="${toX(tick)}" y="${height - bottom + 16}" text-anchor="middle">${tick}</text>`);
  const rounded = (pixels: number) => Math.round(pixels * 1000) / 1000;
  let legendX = left + 44;
  const lines = curves.map(({ name, points }, i) => {
    const ink = INK[i % INK.length];
    const key = `<path d="M${legendX} 8h18" stroke="${ink}" stroke-width="2"/>`;
    const text = `<text x="${legendX + 24}" y="12">${escapeXml(name)}</text>`;
    legendX += 44 + CHARACTER * [...name].length;
    // A curve with few points shows them as dots, because a single point has no line.
    const dots = points.length > DOTS ? [] : points.filter(isFinitePoint);
    const marks = dots.map(
      ([xValue, value]) => `<circle cx="${toX(xValue)}" cy="${toY(value)}" r="2.5" fill="${ink}"/>`,
    );
    const path = points.map((point, index) => {
      if (!isFinitePoint(point)) return '';
      const follows = index > 0 && isFinitePoint(points[index - 1] as readonly [number, number]);
      return `${follows ? 'L' : 'M'}${rounded(toX(point[0]))},${rounded(toY(point[1]))}`;
    });
    const curve = `<path d="${path.join('')}" fill="none" stroke="${ink}" stroke-width="1.5"/>`;
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

/** Replaces characters that XML cannot represent: control characters and unpaired surrogates. */
function escapeXml(text: string): string {
  const writable = text.replace(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, '\u{FFFD}');
  return writable.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');
}
