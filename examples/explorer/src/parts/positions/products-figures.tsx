import { useMemo, useState } from 'preact/hooks';
import { matmul } from 'simdformer/ops';
import { divergingScale } from '../../draw/colours.js';
import { Slider } from '../../draw/controls.js';
import { Figure } from '../../draw/figure.js';
import { decimal } from '../../draw/format.js';
import { HeatMap } from '../../draw/heat-map.js';
import { LineChart, type Point } from '../../draw/line-chart.js';
import type { Session } from '../../session.js';
import { theme } from '../../theme.js';
import { useResult } from '../../use-result.js';
import type { Table } from './index.js';

/** Dot products of all positions with each other, and of one by distance. */
export function ProductsFigures({ session, table }: { session: Session; table: Table }) {
  const [from, setFrom] = useState(16);
  const products = useResult(session, table, productsOf);
  const { values, length } = products ?? { values: [], length: 0 };
  const most = values[0] ?? 1;
  const names = useMemo(() => Array.from({ length }, (_, position) => String(position)), [length]);
  const colour = useMemo(() => divergingScale(most), [most, theme.value]);
  if (products === null) return null;
  const row = (position: number) =>
    Array.from({ length }, (_, other): Point => [other - position, values[position * length + other] as number]);
  return (
    <div class="columns">
      <Figure
        title="Every position with every other"
        says="The dot product of two rows of the table shows how similar two positions are. It is the same along each diagonal: it depends on the distance, not on the position."
      >
        <HeatMap
          label={`Dot products of position vectors, ${length} by ${length}.`}
          rows={names}
          columns={names}
          values={values}
          colour={colour}
          cellSize={9}
          describe={({ row, column }) =>
            `positions ${row} and ${column}, distance ${decimal(column - row, 0)}: ${decimal(values[row * length + column] as number)}`
          }
          onChoose={(cell) => setFrom(cell.row)}
        />
      </Figure>
      <Figure
        title="Dot products by distance"
        says="One row of that picture, seen from a position of your choice; the dashed line is the same for position 0. Move the slider: the curve stays where it is, which is why attention can learn “the letter before”."
      >
        <Slider {...{ label: 'From position', min: 0, max: length - 1, step: 1, value: from }} onChange={setFrom} />
        <LineChart
          label={`Dot product of position ${from} with others by distance: ${decimal(most)} at distance 0.`}
          series={[
            { name: `from position ${from}`, points: row(from), look: 'main' },
            { name: 'from position 0', points: row(0), look: 'dashed' },
          ]}
          xTitle="distance"
          yFormat={(value) => decimal(value, 0)}
          xRange={[-length, length]}
          yRange={[0, most]}
        />
      </Figure>
    </div>
  );
}

async function productsOf({ model, length, width, values }: Table): Promise<{ values: Float32Array; length: number }> {
  const { device } = model.transformer;
  const { reading } = device.scope(() => {
    const table = device.tensor(values, [length, width]);
    return { reading: matmul(table, table, { transposeB: true }).data() as Promise<Float32Array> };
  });
  return { values: await reading, length };
}
