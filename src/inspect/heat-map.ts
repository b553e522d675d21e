import { checkArray, checkOptions, listOf } from '../core/check.js';
import { checkWeights } from './check-weights.js';

export interface HeatMapOptions {
  /** Label of each row, at its left. */
  rows: readonly string[];
  /** Label of each column, above it. */
  columns: readonly string[];
  /** True colours cells by ANSI escape codes, false shades them by characters. Default: false. */
  color?: boolean | undefined;
}

const SHADES = [' ', '░', '▒', '▓', '█'];
/** Codes of the 256-colour palette from dark to light: blue, violet, red, orange, yellow. */
const COLORS = [16, 17, 18, 54, 90, 126, 162, 197, 203, 209, 215, 221, 227, 230];

/**
 * Draws a matrix for a terminal, one cell per number: darkest at 0 and below, lightest at the largest. `weights` is
 * row-major with rows × columns numbers. Throws ArgumentError for another number of weights, or one that is not finite.
 */
export function renderHeatMap(weights: ArrayLike<number>, options: HeatMapOptions): string {
  const {
    rows,
    columns,
    color = false,
  } = checkOptions('renderHeatMap', options, {
    rows: TEXTS,
    columns: TEXTS,
    color: 'boolean',
  });
  checkArray('renderHeatMap', 'rows', rows, TEXTS.expected);
  checkArray('renderHeatMap', 'columns', columns, TEXTS.expected);
  checkWeights('renderHeatMap', weights, rows.length, columns.length);
  const labelWidth = widest(rows);
  const cellWidth = Math.max(1, widest(columns)) + 1;
  const largest = Array.from(weights).reduce((max, weight) => Math.max(max, weight), Number.MIN_VALUE);
  const cell = (weight: number) => {
    const share = Math.max(0, weight / largest);
    if (!color)
      return (SHADES[Math.round(share * (SHADES.length - 1))] as string).repeat(cellWidth - 1).padEnd(cellWidth);
    return `\u001b[48;5;${COLORS[Math.round(share * (COLORS.length - 1))]}m${' '.repeat(cellWidth)}\u001b[0m`;
  };
  const heading = `${' '.repeat(labelWidth + 1)}${columns.map((label) => pad(label, cellWidth)).join('')}`;
  const lines = rows.map((label, r) => {
    const cells = columns.map((_, c) => cell(weights[r * columns.length + c] as number));
    return `${' '.repeat(labelWidth - widthOf(label))}${label} ${cells.join('')}`;
  });
  return [heading.trimEnd(), ...lines.map((line) => (color ? line : line.trimEnd()))].join('\n');
}

const TEXTS = listOf('string', 'an array of texts');

/** Width of a label in columns, counted in code points. */
function widthOf(label: string): number {
  return [...label].length;
}

function widest(labels: readonly string[]): number {
  return labels.reduce((max, label) => Math.max(max, widthOf(label)), 0);
}

function pad(label: string, width: number): string {
  return label + ' '.repeat(width - widthOf(label));
}
