import { linkVertical } from 'd3-shape';
import { useMemo, useRef } from 'preact/hooks';
import { useWidth } from '../../draw/canvas.js';
import { weightText } from '../../draw/format.js';
import { textScale } from '../../draw/grid-layout.js';
import type { HeadWeights } from './heads.js';

/**
 * Sizes in pixels at a font size of 16 pixels: minimum and maximum width of a token, width of a letter, and height of
 * the arcs.
 */
const ROOM = [26, 120] as const;
const LETTER = 8;
const HEIGHT = 150;
/** Weights below it are not drawn. */
const FAINT = 0.03;

const curve = linkVertical();

interface ArcsProps {
  readonly view: HeadWeights;
  /** The query whose arcs stand out. */
  readonly row: number | null;
  readonly onRow: (row: number | null) => void;
}

interface Arc {
  readonly weight: number;
  readonly from: number;
  readonly to: number;
  readonly path: string;
}

/** Attention as arcs from each token below to those above; thicker arcs are larger weights. */
export function Arcs({ view, row, onRow }: ArcsProps) {
  const box = useRef<HTMLDivElement>(null);
  const { keys, queries, weights, id } = view;
  const scale = textScale();
  const height = HEIGHT * scale;
  const longest = Math.max(...[...keys, ...queries].map((name) => name.length));
  const room = Math.min(ROOM[1], Math.max(ROOM[0], LETTER * longest)) * scale;
  const width = Math.max(useWidth(box), room * Math.max(keys.length, queries.length));
  const arcs = useMemo((): Arc[] => {
    const x = (i: number, count: number) => ((i + 0.5) / count) * width;
    return Array.from(weights, (weight, at) => ({ weight, from: Math.floor(at / keys.length), to: at % keys.length }))
      .filter(({ weight }) => weight >= FAINT)
      .map((arc) => ({
        ...arc,
        path: curve({ source: [x(arc.from, queries.length), height], target: [x(arc.to, keys.length), 0] }) as string,
      }));
  }, [weights, keys, queries, width, height]);
  const draw = ({ path, weight, from, to }: Arc) => (
    <path
      key={`${from} ${to}`}
      d={path}
      stroke-width={(0.5 + 5 * weight) * scale}
      stroke-opacity={0.15 + 0.7 * weight}
    />
  );
  // Memoized elements are not compared again when another token is pointed at.
  const all = useMemo(() => <g>{arcs.map(draw)}</g>, [arcs]);
  const kinds = {
    keys: id.attention === 'decoder' ? 'sound' : 'letter',
    queries: id.attention === 'encoder' ? 'letter' : 'sound',
  };
  const columns = (count: number) => ({ gridTemplateColumns: `repeat(${count}, minmax(0, 1fr))` });
  return (
    <div class="arcs" ref={box}>
      <div style={{ width: `${width}px` }}>
        <div class={`tokens ${kinds.keys}`} style={columns(keys.length)} aria-hidden="true">
          {keys.map((key, i) => (
            <span key={i} class={row !== null && (weights[row * keys.length + i] as number) < FAINT ? 'dim' : ''}>
              {key}
            </span>
          ))}
        </div>
        <svg width={width} height={height} class={row === null ? '' : 'pointed'} aria-hidden="true">
          {all}
          {row !== null && <g class="strong">{arcs.filter(({ from }) => from === row).map(draw)}</g>}
        </svg>
        <div class={`tokens ${kinds.queries}`} style={columns(queries.length)}>
          {queries.map((query, i) => (
            <button
              key={i}
              type="button"
              aria-label={sayRow(view, i)}
              class={row === i ? 'strong' : ''}
              onPointerEnter={() => onRow(i)}
              onPointerLeave={() => onRow(null)}
              onFocus={() => onRow(i)}
              onBlur={() => onRow(null)}
            >
              {query}
            </button>
          ))}
        </div>
      </div>
    </div>
  );
}

/** “R looks at r 71 %, a 12 %, n 8 %”. */
function sayRow({ weights, keys, queries }: HeadWeights, row: number): string {
  const most = keys
    .map((key, i) => ({ key, weight: weights[row * keys.length + i] as number }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, 3)
    .map(({ key, weight }) => `${key} ${weightText(weight)}`);
  return `${queries[row]} looks at ${most.join(', ')}`;
}
