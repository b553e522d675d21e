import { useMemo } from 'preact/hooks';
import { divergingScale } from '../../draw/colours.js';
import { decimal, weightText } from '../../draw/format.js';
import type { Cell } from '../../draw/grid-layout.js';
import { HeatMap } from '../../draw/heat-map.js';
import { theme } from '../../theme.js';
import { type HeadView, scoreText } from './heads.js';

const ROWS = ['q', 'k', 'q×k'];

/** The query and the key behind a weight, number by number, and their products, whose sum is the score. */
export function Products({ view, cell }: { view: HeadView; cell: Cell }) {
  const { keys, queries, weights } = view;
  const { row, column } = cell;
  const drawn = useMemo(() => {
    const [q, k] = [view.query(row), view.key(column)];
    const values = Float32Array.from([...q, ...k, ...q.map((x, i) => x * (k[i] as number))]);
    const most = values.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    return { values, columns: Array.from(q, () => ''), colour: divergingScale(most || 1) };
  }, [view, row, column, theme.value]);
  const at = row * keys.length + column;
  const hidden = view.causal && column > row;
  return (
    <div class="products">
      <p class="mono" data-at={`${row} ${column}`}>
        <b>{queries[row]}</b> → <b>{keys[column]}</b>:{' '}
        {hidden ? 'hidden by the mask' : weightText(weights[at] as number)}
        <br />
        {scoreText(view, at)}
      </p>
      <HeatMap
        label={`Query of ${queries[row]}, key of ${keys[column]} and their products.`}
        rows={ROWS}
        columns={drawn.columns}
        values={drawn.values}
        colour={drawn.colour}
        cellSize={16}
        cellHeight={16}
        describe={({ row, column }) =>
          `${ROWS[row]}, feature ${column + 1}: ${decimal(drawn.values[row * drawn.columns.length + column] as number)}`
        }
      />
    </div>
  );
}
