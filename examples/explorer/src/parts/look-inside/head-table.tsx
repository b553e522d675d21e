import { useMemo, useState } from 'preact/hooks';
import type { HeadId } from 'simdformer/inspect';
import { Figure } from '../../draw/figure.js';
import { attentions, type HeadRow, nameOf, sameHead } from './heads.js';

type Column = 'name' | 'entropy' | 'distance' | 'previous';

const columns: Readonly<Record<Column, string>> = {
  name: 'Head',
  entropy: 'Entropy (bits)',
  distance: 'Distance',
  previous: 'Place before',
};

interface HeadTableProps {
  readonly rows: readonly HeadRow[];
  readonly chosen: HeadId;
  readonly onChoose: (head: HeadId) => void;
}

/** A table of all heads and their behaviour on the current word. A click on a column heading sorts by it. */
export function HeadTable({ rows, chosen, onChoose }: HeadTableProps) {
  const [{ column, descending }, setOrder] = useState({ column: 'previous' as Column, descending: true });
  const sorted = useMemo(() => {
    const ordered = column === 'name' ? [...rows] : [...rows].sort((a, b) => a[column] - b[column]);
    return descending ? ordered.reverse() : ordered;
  }, [rows, column, descending]);
  const most = {
    entropy: Math.max(...rows.map(({ entropy }) => entropy)),
    distance: Math.max(...rows.map(({ distance }) => distance)),
    previous: 1,
  };
  const sortBy = (by: Column) => setOrder({ column: by, descending: by === column ? !descending : by !== 'name' });
  return (
    <Figure
      title="What each head does"
      says="Entropy is low if a head attends to one position, and high if it attends to all. Distance is the mean distance to the positions that it attends to. The last column is the weight on the previous position: a head near 100 % always attends to the previous letter or sound."
    >
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls */}
      <section class="head-table" tabIndex={0} aria-label="Table of heads">
        <table>
          <thead>
            <tr>
              {(Object.keys(columns) as Column[]).map((name) => (
                <th
                  key={name}
                  scope="col"
                  aria-sort={name === column ? (descending ? 'descending' : 'ascending') : 'none'}
                >
                  <button type="button" onClick={() => sortBy(name)}>
                    {columns[name]} <span aria-hidden="true">{name !== column ? '↕' : descending ? '↓' : '↑'}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {sorted.map(({ id, entropy, distance, previous }) => (
              <tr key={nameOf(id)} class={sameHead(id, chosen) ? 'chosen' : ''}>
                <th scope="row">
                  <button type="button" onClick={() => onChoose(id)}>
                    {attentions[id.attention]} {id.layer + 1}·{id.head + 1}
                  </button>
                </th>
                <Quantity share={entropy / most.entropy} text={entropy.toFixed(2)} />
                <Quantity share={distance / most.distance} text={distance.toFixed(2)} />
                <Quantity share={previous} text={`${(100 * previous).toFixed(0)} %`} />
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </Figure>
  );
}

function Quantity({ share, text }: { share: number; text: string }) {
  return (
    <td>
      <span class="quantity" style={{ '--share': share }}>
        {text}
      </span>
    </td>
  );
}
