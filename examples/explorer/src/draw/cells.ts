import { prepareCanvas } from './canvas.js';
import { type ColourScale, cssColours, inkOn } from './colours.js';
import { type Pen, rememberDrawing } from './drawings.js';
import { drawNames, fontAt, type GridLayout } from './grid-layout.js';

interface Cells {
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: ArrayLike<number>;
  readonly colour: ColourScale;
  readonly backdrop?: HTMLCanvasElement;
  readonly format?: (value: number, index: number) => string;
}

/** Draws a grid of colours on a canvas, with the names of its rows and columns. */
export function drawCells(canvas: HTMLCanvasElement, cells: Cells, place: GridLayout): void {
  paint(prepareCanvas(canvas, place.fullWidth, place.fullHeight), cells, place);
  rememberDrawing(canvas, (pen) => paint(pen, cells, place));
}

function paint(context: Pen, cells: Cells, place: GridLayout): void {
  const { rows, columns, values, colour, format, backdrop } = cells;
  const { left, top, cell, height, scale } = place;
  context.font = fontAt(scale);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  const gap = cell > 8 && !backdrop ? 1 : 0;
  if (backdrop) context.drawImage(backdrop, left, top, cell * columns.length, height * rows.length);
  const signed = Math.min(cell, height) >= 12 * scale;
  const numbered = format !== undefined && cell >= 34 * scale;
  for (let row = 0; row < rows.length; row++) {
    const y = top + row * height;
    for (let column = 0; column < columns.length; column++) {
      const value = values[row * columns.length + column] as number;
      if (Number.isNaN(value)) continue;
      const x = left + column * cell;
      const fill = colour(value);
      context.fillStyle = fill;
      context.fillRect(x, y, cell - gap, height - gap);
      if (numbered) {
        context.fillStyle = inkOn(fill);
        context.fillText(format(value, row * columns.length + column), x + cell / 2, y + height / 2);
      } else if (value < 0 && signed) {
        // Draws a minus sign as a line, because text would take most of the time.
        context.fillStyle = inkOn(fill);
        context.fillRect(x + cell / 2 - 3 * scale, y + (height - scale) / 2, 6 * scale, scale);
      }
    }
  }
  context.fillStyle = cssColours.value('ink-soft');
  drawNames(context, rows, columns, place);
}
