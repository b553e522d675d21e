import { linkHorizontal } from 'd3-shape';
import { decimal } from '../../draw/format.js';
import type { BeamNode } from './beam-layout.js';

/** Size of a column and a row of the tree, in units that grow with the page's text. */
export const COLUMN = 92;
export const ROW = 40;

const RADIUS = 15;

const link = linkHorizontal<unknown, [number, number]>();

function place({ depth, rank }: BeamNode): [x: number, y: number] {
  return [depth * COLUMN + RADIUS + 6, rank * ROW + ROW / 2];
}

export function BeamEdge({ node, parent }: { node: BeamNode; parent: BeamNode }) {
  const [x, y] = place(parent);
  const [toX, toY] = place(node);
  const path = link({ source: [x + RADIUS, y], target: [toX - RADIUS, toY] }) ?? '';
  return <path class={`beam-edge ${node.fate} ${node.best ? 'best' : ''}`} d={path} />;
}

/** Shortens a name to fit into its spot; the label has the whole name. */
function fitting(name: string): string {
  const letters = Array.from(name);
  return letters.length > 4 ? `${letters.slice(0, 3).join('')}…` : name;
}

interface SpotProps {
  readonly node: BeamNode;
  readonly name: string;
  readonly label: string;
  /** True if the tab key can focus this spot. */
  readonly reachable: boolean;
  readonly keep: (element: SVGGElement | null) => void;
  readonly onKeyDown: (event: KeyboardEvent) => void;
  readonly onShow: (box: DOMRect) => void;
  readonly onHide: () => void;
}

/** Draws a hypothesis with its last sound and the sum of log-probabilities: a circle, or a square if it is finished. */
export function BeamSpot({ node, name, label, reachable, keep, onKeyDown, onShow, onHide }: SpotProps) {
  const [x, y] = place(node);
  const show = (event: { currentTarget: SVGGElement }) => onShow(event.currentTarget.getBoundingClientRect());
  return (
    <g
      class={`beam-spot ${node.fate} ${node.best ? 'best' : ''}`}
      transform={`translate(${x} ${y})`}
      role="treeitem"
      aria-level={node.depth + 1}
      aria-selected={node.best}
      aria-label={label}
      tabIndex={reachable ? 0 : -1}
      ref={keep}
      onKeyDown={onKeyDown}
      onFocus={show}
      onBlur={onHide}
      onPointerEnter={show}
      onPointerLeave={onHide}
    >
      {node.fate === 'finished' ? (
        <rect x={-RADIUS} y={-RADIUS + 2} width={2 * RADIUS} height={2 * RADIUS - 4} rx={3} />
      ) : (
        <circle r={RADIUS - 1} />
      )}
      <text class="beam-name" dy="0.35em">
        {name === 'start' ? '▸' : fitting(name)}
      </text>{' '}
      {node.parent && (
        <text class="beam-sum" x={RADIUS + 4} dy="-0.45em">
          {decimal(node.sum)}
        </text>
      )}
    </g>
  );
}
