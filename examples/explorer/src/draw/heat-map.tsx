import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { theme } from '../theme.js';
import { useWidth } from './canvas.js';
import { drawCells } from './cells.js';
import type { ColourScale } from './colours.js';
import { drawSoon, watch } from './frames.js';
import { type Cell, type GridLayout, layOut, neighbour, textScale } from './grid-layout.js';
import { hideTooltip, showTooltip } from './tooltip.js';

interface HeatMapProps {
  /** Description of the picture for screen readers. */
  readonly label: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** Row by row; NaN leaves a cell empty. */
  readonly values: ArrayLike<number>;
  /** The picture is drawn again if this function changes, so memoize it if the parent renders often. */
  readonly colour: ColourScale;
  /** Description of a cell that has the pointer or the focus. */
  readonly describe: (cell: Cell) => string;
  /**
   * Text in a cell, if it fits, by its value and its index in `values`. Default: a minus in cells below zero, so that
   * colour alone carries no meaning.
   */
  readonly format?: (value: number, index: number) => string;
  /** Maximum width of a cell in pixels, and its height if it differs. Both scale with the page's text. */
  readonly cellSize?: number;
  readonly cellHeight?: number;
  /** A picture below the cells, whose colours are then transparent. */
  readonly backdrop?: HTMLCanvasElement;
  /** Called with the cell that is pointed at or has the focus; null if there is none. */
  readonly onActive?: (cell: Cell | null) => void;
  /** Called after a click or Enter. */
  readonly onChoose?: (cell: Cell) => void;
  /** A cell to highlight, which was chosen elsewhere. */
  readonly marked?: Cell | null;
}

/** A grid of colours on a canvas. Arrow keys move through its cells. Labels are left out if there is no space. */
export function HeatMap(props: HeatMapProps) {
  const { label, rows, columns, values, colour, describe, format, onActive, onChoose, marked } = props;
  const id = useId();
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(frame);
  const [pointed, setPointed] = useState<Cell | null>(null);
  // The grid may have become smaller in the meantime.
  const active = pointed && pointed.row < rows.length && pointed.column < columns.length ? pointed : null;
  const tipAt = useRef({ x: 0, y: 0 });
  const [focused, setFocused] = useState(false);
  const place = layOut(props, width, textScale());
  const { left, top, cell, height } = place;

  useLayoutEffect(() => watch(canvas.current as HTMLCanvasElement), []);
  useLayoutEffect(() => {
    const picture = canvas.current as HTMLCanvasElement;
    if (width > 0) drawSoon(picture, () => drawCells(picture, props, place));
    // Pointing at cells draws nothing again. `place` derives from the other values.
  }, [rows, columns, values, colour, format, props.backdrop, width, height, theme.value]);
  // The tooltip describes these values, so it disappears with the picture.
  useLayoutEffect(() => {
    if (active === null) return;
    showTooltip(describe(active), tipAt.current.x, tipAt.current.y);
    return hideTooltip;
  }, [active, values]);

  const activate = (cellAt: Cell | null, x = 0, y = 0) => {
    tipAt.current = { x, y };
    if (cellAt?.row !== pointed?.row || cellAt?.column !== pointed?.column) {
      setPointed(cellAt);
      onActive?.(cellAt);
    } else if (cellAt) showTooltip(describe(cellAt), x, y);
  };
  const cellAt = (event: MouseEvent): Cell | null => {
    const box = (canvas.current as HTMLCanvasElement).getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - left) / cell);
    const row = Math.floor((event.clientY - box.top - top) / height);
    return row >= 0 && row < rows.length && column >= 0 && column < columns.length ? { row, column } : null;
  };
  const focusOn = (spot: Cell) => {
    const picture = canvas.current as HTMLCanvasElement;
    const bottom = () => picture.getBoundingClientRect().top + top + (spot.row + 1) * height;
    const covered = Number.parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) || 0;
    // Scrolls, because a picture may be higher than the window.
    if (bottom() - height < covered || bottom() > innerHeight) scrollBy(0, bottom() - (covered + innerHeight) / 2);
    activate(spot, picture.getBoundingClientRect().left + left + (spot.column + 0.5) * cell, bottom() - 10);
  };
  const press = (event: KeyboardEvent) => {
    const from = active ?? { row: 0, column: 0 };
    if (event.key === 'Enter' || event.key === ' ') onChoose?.(from);
    else if (event.key === 'Escape') return activate(null);
    else {
      const to = neighbour(event.key, from, rows.length, columns.length);
      if (to === null) return;
      focusOn(to);
    }
    event.preventDefault();
  };

  return (
    <div class="heat-map" ref={frame}>
      <div class="heat-map-picture" style={{ width: `${place.fullWidth}px`, height: `${place.fullHeight}px` }}>
        <canvas ref={canvas} />
        {marked && <Outline at={marked} place={place} kind="marked" />}
        {active && <Outline at={active} place={place} kind="active" />}
        {/* A table of a thousand cells would be slow: there is only the cell that has the focus. */}
        {/* biome-ignore lint/a11y/useSemanticElements: as above */}
        <div
          role="grid"
          tabIndex={0}
          aria-label={`${label} Arrow keys move between cells.`}
          aria-rowcount={rows.length}
          aria-colcount={columns.length}
          aria-activedescendant={active && focused ? `${id}-cell` : undefined}
          onKeyDown={press}
          onFocus={(event) => {
            setFocused(true);
            if (event.currentTarget.matches(':focus-visible')) focusOn(active ?? { row: 0, column: 0 });
          }}
          onBlur={() => {
            setFocused(false);
            activate(null);
          }}
          onPointerMove={(event) => activate(cellAt(event), event.clientX, event.clientY)}
          onPointerLeave={() => activate(null)}
          onClick={(event) => {
            const spot = cellAt(event);
            if (spot === null) return;
            activate(spot, event.clientX, event.clientY); // a touch has no pointing before the press
            onChoose?.(spot);
          }}
        >
          {/* biome-ignore lint/a11y/useSemanticElements: as above */}
          {/* biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus */}
          <div role="row" class="visually-hidden" aria-rowindex={(active?.row ?? 0) + 1}>
            {/* biome-ignore lint/a11y/useSemanticElements: as above */}
            {/* biome-ignore lint/a11y/useFocusableInteractive: the grid has the focus */}
            <div role="gridcell" id={`${id}-cell`} aria-colindex={(active?.column ?? 0) + 1}>
              {describe(active ?? { row: 0, column: 0 })}
            </div>
          </div>
        </div>
      </div>
    </div>
  );
}

/** A frame around a cell. */
function Outline({ at, place, kind }: { at: Cell; place: GridLayout; kind: string }) {
  const { left, top, cell, height } = place;
  const spot = { left: `${left + at.column * cell - 2}px`, top: `${top + at.row * height - 2}px` };
  return <div class={`outline ${kind}`} style={{ ...spot, width: `${cell + 3}px`, height: `${height + 3}px` }} />;
}
