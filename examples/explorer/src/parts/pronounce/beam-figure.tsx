import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Figure } from '../../draw/figure.js';
import { decimal, percent } from '../../draw/format.js';
import { textScale } from '../../draw/grid-layout.js';
import { hideTooltip, showTooltip } from '../../draw/tooltip.js';
import { tokenName } from '../../model.js';
import type { Pronunciation } from '../../pronounce.js';
import { BeamEdge, BeamSpot, COLUMN, ROW } from './beam-drawing.js';
import { type BeamNode, beamTree } from './beam-layout.js';

/** Shows beam search as the tree of its hypotheses. */
export function BeamFigure({ said }: { said: Pronunciation }) {
  const columns = useMemo(() => beamTree(said), [said]);
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const nodes = columns.flat();
  return (
    <Figure
      title="The tree of beginnings"
      says="Each column is one step, the most probable beginning at the top; numbers are the sums of log-probabilities so far. Dashed, faded branches were pruned, squares are finished words, and the heavy line is the answer."
    >
      <Tree said={said} nodes={nodes} width={columns.length * COLUMN} height={rows * ROW} />
      <Hypotheses said={said} />
    </Figure>
  );
}

interface TreeProps {
  readonly said: Pronunciation;
  readonly nodes: readonly BeamNode[];
  readonly width: number;
  readonly height: number;
}

function Tree({ said, nodes, width, height }: TreeProps) {
  const [current, setCurrent] = useState('');
  const spots = useRef(new Map<string, SVGGElement>());
  const scale = textScale();
  useLayoutEffect(() => hideTooltip, [said]); // its spot was removed
  const name = (node: BeamNode) => tokenName(said.model.target, node.token);
  const describe = (node: BeamNode) => {
    const fate = { alive: 'followed', finished: 'finished', pruned: 'pruned' }[node.fate];
    const sums = `log-probability ${decimal(node.sum)} (${percent(Math.exp(node.sum))})`;
    return `${spelled(said, node)}: ${fate}\n${sums}${node.fate === 'finished' ? `\nscore ${decimal(node.score, 3)}` : ''}`;
  };
  const go = (to: BeamNode | undefined) => {
    if (to === undefined) return;
    setCurrent(to.key);
    spots.current.get(to.key)?.focus();
  };
  const press = (event: KeyboardEvent, node: BeamNode) => {
    const column = nodes.filter(({ depth }) => depth === node.depth);
    const moves: Record<string, BeamNode | undefined> = {
      ArrowLeft: node.parent ?? undefined,
      ArrowRight: node.children[0],
      ArrowUp: column[node.rank - 1],
      ArrowDown: column[node.rank + 1],
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const to = moves[event.key];
    go(to && nodes.find(({ key }) => key === to.key));
  };
  const reachable = nodes.some(({ key }) => key === current) ? current : nodes[0]?.key;
  return (
    <div class="beam-scroll" role="tree" aria-label="Beginnings that beam search followed">
      <svg role="presentation" width={width * scale} height={height * scale} viewBox={`0 0 ${width} ${height}`}>
        {nodes.map((node) => node.parent && <BeamEdge key={node.key} node={node} parent={node.parent} />)}
        {nodes.map((node) => (
          <BeamSpot
            key={node.key}
            node={node}
            name={name(node)}
            label={node.parent ? `${name(node)} ${decimal(node.sum)}: ${describe(node)}` : describe(node)}
            reachable={node.key === reachable}
            keep={(element) => (element ? spots.current.set(node.key, element) : spots.current.delete(node.key))}
            onKeyDown={(event) => press(event, node)}
            onShow={(box) => showTooltip(describe(node), box.left + box.width / 2, box.bottom - 8)}
            onHide={hideTooltip}
          />
        ))}
      </svg>
    </div>
  );
}

/** Returns the names of a hypothesis's tokens. */
function spelled({ model }: Pronunciation, node: BeamNode): string {
  const names: string[] = [];
  for (let at: BeamNode | null = node; at?.parent; at = at.parent) names.unshift(tokenName(model.target, at.token));
  return names.join(' ') || 'start';
}

function Hypotheses({ said }: { said: Pronunciation }) {
  const { hypotheses, model } = said;
  return (
    <table class="hypotheses">
      <caption>Finished words, best first</caption>
      <thead>
        <tr>
          <th scope="col">Sounds</th>
          <th scope="col">Score</th>
          <th scope="col">Probability</th>
        </tr>
      </thead>
      <tbody>
        {hypotheses.map(({ tokens, score, logProbabilities }) => (
          <tr key={tokens.join(' ')}>
            <td>{tokens.map((id) => tokenName(model.target, id)).join(' ')}</td>
            <td>{decimal(score, 3)}</td>
            <td>{percent(Math.exp(logProbabilities.reduce((sum, value) => sum + value, 0)))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
