// Figures as SVG files: heat maps are drawn again by a pen that writes SVG, other pictures are copied with their styles.

import { drawingOf, type Pen } from './drawings.js';

const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const anchors: Partial<Record<CanvasTextAlign, string>> = { center: 'middle', right: 'end', end: 'end' };

/** Writes what is drawn as SVG elements. Text is centred vertically, as in all pictures of the page. */
class SvgPen implements Pen {
  fillStyle: Pen['fillStyle'] = '#000000';
  font = '12px monospace';
  textAlign: CanvasTextAlign = 'start';
  textBaseline: CanvasTextBaseline = 'middle';
  readonly elements: string[] = [];

  fillRect(x: number, y: number, width: number, height: number): void {
    const [left, top, across, down] = [x, y, width, height].map((number) => Number(number.toFixed(2)));
    this.elements.push(
      `<rect x="${left}" y="${top}" width="${across}" height="${down}" fill="${escaped(String(this.fillStyle))}"/>`,
    );
  }

  fillText(text: string, x: number, y: number): void {
    const anchor = anchors[this.textAlign] ?? 'start';
    const place = `x="${x.toFixed(2)}" y="${y.toFixed(2)}" dy="0.35em" text-anchor="${anchor}"`;
    const look = `fill="${escaped(String(this.fillStyle))}" style="font: ${escaped(this.font)}"`;
    this.elements.push(`<text ${place} ${look}>${escaped(text)}</text>`);
  }

  drawImage(image: HTMLCanvasElement, x: number, y: number, width: number, height: number): void {
    const place = `x="${x}" y="${y}" width="${width}" height="${height}"`;
    this.elements.push(`<image ${place} preserveAspectRatio="none" href="${image.toDataURL()}"/>`);
  }
}

/** Styles that a copied picture has from the style sheet. */
const STYLES = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'stroke-opacity',
  'stroke-linejoin',
  'opacity',
  'font',
  'text-anchor',
  'vector-effect',
];

const withAll = (svg: SVGSVGElement): SVGElement[] => [svg, ...Array.from(svg.querySelectorAll<SVGElement>('*'))];

function styled(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const originals = withAll(svg);
  for (const [i, element] of withAll(copy).entries()) {
    const style = getComputedStyle(originals[i] as Element);
    for (const name of STYLES) element.style.setProperty(name, style.getPropertyValue(name));
  }
  return new XMLSerializer().serializeToString(copy);
}

/** The pictures of a figure, one below the other, as an SVG file. */
export function svgOf(figure: HTMLElement): string {
  const background = getComputedStyle(figure).backgroundColor;
  const parts: string[] = [];
  let [top, right] = [0, 0];
  const pictures = figure.querySelectorAll<HTMLCanvasElement | SVGSVGElement>('canvas, svg[role=img]');
  for (const picture of Array.from(pictures)) {
    const { width, height } = picture.getBoundingClientRect();
    const part = picture instanceof SVGSVGElement ? styled(picture) : drawnAgain(picture, width, height);
    if (part === null) continue;
    parts.push(`<g transform="translate(0 ${top})">${part}</g>`);
    top += Math.ceil(height) + 12;
    right = Math.max(right, Math.ceil(width));
  }
  const size = `width="${right}" height="${top}" viewBox="0 0 ${right} ${top}"`;
  const paper = `<rect width="100%" height="100%" fill="${background}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${paper}${parts.join('')}</svg>`;
}

function drawnAgain(canvas: HTMLCanvasElement, width: number, height: number): string | null {
  const draw = drawingOf(canvas);
  if (draw === undefined) return null;
  const pen = new SvgPen();
  draw(pen);
  return `<svg width="${width}" height="${height}" overflow="visible">${pen.elements.join('')}</svg>`;
}
