// The drawings of the canvases of the page, so that their pictures can be saved.

/** The part of a canvas context that pictures are drawn with. */
export type Pen = Pick<
  CanvasRenderingContext2D,
  'fillStyle' | 'font' | 'textAlign' | 'textBaseline' | 'fillRect' | 'fillText'
> & { drawImage(image: HTMLCanvasElement, x: number, y: number, width: number, height: number): void };

/** Functions that draw the pictures of canvases. */
const drawings = new WeakMap<HTMLCanvasElement, (pen: Pen) => void>();

/** Remembers how a canvas was drawn. */
export function rememberDrawing(canvas: HTMLCanvasElement, draw: (pen: Pen) => void): void {
  drawings.set(canvas, draw);
}

/** The function that draws a canvas again; undefined if it was not remembered. */
export function drawingOf(canvas: HTMLCanvasElement): ((pen: Pen) => void) | undefined {
  return drawings.get(canvas);
}
