/** A place in a grid. */
export interface Cell {
  readonly row: number;
  readonly column: number;
}

/** Places of a grid's names and cells, in CSS pixels. */
export interface GridLayout {
  /** Place of the first cell. */
  readonly left: number;
  readonly top: number;
  /** Width and height of a cell. */
  readonly cell: number;
  readonly height: number;
  /** Scale of the text. */
  readonly scale: number;
  readonly fullWidth: number;
  readonly fullHeight: number;
}

/** Font size at a root font size of 16 pixels. Pictures scale with the page's text. */
const FONT_SIZE = 12;
const LETTER = 7.3;
const LINE = 14;

interface Grid {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly cellSize?: number;
  readonly cellHeight?: number;
}

/** Cached result of textScale(), because reading a style forces the browser to compute it. Null if it is unknown. */
let knownScale: number | null = null;
addEventListener('resize', () => {
  knownScale = null;
});

/** Returns the page's font size, divided by 16 pixels. */
export function textScale(): number {
  knownScale ??= Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  return knownScale;
}

export function fontAt(scale: number): string {
  return `${FONT_SIZE * scale}px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace`;
}

/** Fits a grid into the available width. Empty names take no space. */
export function layOut({ rows, columns, cellSize = 40, cellHeight }: Grid, width: number, scale: number): GridLayout {
  const left = longest(rows) === 0 ? 1 : Math.min(longest(rows) * LETTER + 10, 120) * scale;
  const top = longest(columns) === 0 ? 1 : 20 * scale;
  const cell = Math.max(1, Math.min(cellSize * scale, (width - left - 2) / Math.max(1, columns.length)));
  const height = cellHeight ? cellHeight * scale : cell;
  return {
    left,
    top,
    cell,
    height,
    scale,
    fullWidth: left + cell * columns.length + 2,
    fullHeight: top + height * rows.length + 2,
  };
}

/** Draws the names of rows and columns. If there is no space for all, only every second, third … is drawn. */
export function drawNames(
  context: Pick<CanvasRenderingContext2D, 'textAlign' | 'textBaseline' | 'fillText'>,
  rows: readonly string[],
  columns: readonly string[],
  { left, top, cell, height, scale }: GridLayout,
): void {
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  const everyRow = Math.ceil((LINE * scale) / height);
  for (let row = 0; row < rows.length; row += everyRow) {
    context.fillText(rows[row] as string, left - 6 * scale, top + (row + 0.5) * height, left - 8 * scale);
  }
  context.textAlign = 'center';
  const everyColumn = everyThatFits(columns, cell / scale);
  for (let column = 0; column < columns.length; column += everyColumn) {
    context.fillText(columns[column] as string, left + (column + 0.5) * cell, top - 10 * scale);
  }
}

/** Returns n so that the names of every n-th column do not touch, for columns of `width`. */
function everyThatFits(names: readonly string[], width: number): number {
  const room = (a: string, b: string) => ((a.length + b.length) / 2) * LETTER + 4;
  for (let every = 1; every < names.length; every++) {
    const shown = names.filter((_, i) => i % every === 0);
    if (shown.every((name, i) => i === 0 || room(shown[i - 1] as string, name) <= every * width)) return every;
  }
  return Math.max(1, names.length);
}

/** Returns the cell to which a key leads; null if the key does not move. */
export function neighbour(key: string, { row, column }: Cell, rows: number, columns: number): Cell | null {
  switch (key) {
    case 'ArrowUp':
      return { row: Math.max(0, row - 1), column };
    case 'ArrowDown':
      return { row: Math.min(rows - 1, row + 1), column };
    case 'ArrowLeft':
      return { row, column: Math.max(0, column - 1) };
    case 'ArrowRight':
      return { row, column: Math.min(columns - 1, column + 1) };
    case 'Home':
      return { row, column: 0 };
    case 'End':
      return { row, column: columns - 1 };
    default:
      return null;
  }
}

function longest(names: readonly string[]): number {
  return Math.max(0, ...names.map((name) => name.length));
}
