import { useLayoutEffect, useRef } from 'preact/hooks';
import type { HeadId } from 'simdformer/inspect';
import { sequentialScale } from '../../draw/colours.js';
import { drawSoon, watch } from '../../draw/frames.js';
import { neighbour } from '../../draw/grid-layout.js';
import { theme } from '../../theme.js';
import { type HeadWeights, nameOf, sameHead } from './heads.js';

interface HeadGridProps {
  /** Layer by layer. */
  readonly views: readonly HeadWeights[];
  /** Number of heads in a layer. */
  readonly heads: number;
  readonly chosen: HeadId;
  readonly pinned: HeadId | null;
  readonly off: readonly HeadId[];
  readonly onChoose: (head: HeadId) => void;
}

/** Every head of one attention, small: a row for each layer. Arrow keys walk among them. */
export function HeadGrid({ views, heads, chosen, pinned, off, onChoose }: HeadGridProps) {
  const box = useRef<HTMLDivElement>(null);
  const layers = views.length / heads;
  const press = (event: KeyboardEvent) => {
    const to = neighbour(event.key, { row: chosen.layer, column: chosen.head }, layers, heads);
    if (to === null) return;
    event.preventDefault();
    onChoose({ attention: chosen.attention, layer: to.row, head: to.column });
    box.current?.querySelectorAll('button')[to.row * heads + to.column]?.focus();
  };
  const button = (view: HeadWeights) => {
    const { id } = view;
    const isOff = off.some((other) => sameHead(other, id));
    const isPinned = pinned !== null && sameHead(pinned, id);
    const isChosen = sameHead(chosen, id);
    return (
      <button
        key={`${id.layer} ${id.head}`}
        type="button"
        class={`thumbnail${isOff ? ' off' : ''}`}
        aria-pressed={isChosen}
        aria-label={`${id.layer + 1}·${id.head + 1}${isPinned ? ' pinned' : ''}${isOff ? ' off' : ''}: ${nameOf(id)}`}
        tabIndex={isChosen ? 0 : -1}
        onClick={() => onChoose(id)}
      >
        <Thumbnail view={view} />
        <span aria-hidden="true">
          {id.layer + 1}·{id.head + 1}
          {isPinned ? ' pinned' : ''}
          {isOff ? ' off' : ''}
        </span>
      </button>
    );
  };
  return (
    <div
      class="head-grid"
      ref={box}
      role="toolbar"
      aria-label="Heads, a row for each layer. Arrow keys move between them."
      style={{ gridTemplateColumns: `repeat(${heads}, minmax(0, 1fr))` }}
      onKeyDown={press}
    >
      {views.map(button)}
    </div>
  );
}

/** A pixel for each weight, made larger by the style sheet. */
function Thumbnail({ view }: { view: HeadWeights }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { weights, queries, keys } = view;
  useLayoutEffect(() => watch(canvas.current as HTMLCanvasElement), []);
  useLayoutEffect(() => {
    const picture = canvas.current as HTMLCanvasElement;
    drawSoon(picture, () => {
      picture.width = keys.length;
      picture.height = queries.length;
      const context = picture.getContext('2d') as CanvasRenderingContext2D;
      const colour = sequentialScale();
      weights.forEach((weight, i) => {
        context.fillStyle = colour(weight);
        context.fillRect(i % keys.length, Math.floor(i / keys.length), 1, 1);
      });
    });
  }, [weights, keys, queries, theme.value]);
  return <canvas ref={canvas} />;
}
