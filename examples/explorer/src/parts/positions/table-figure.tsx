import { useMemo, useState } from 'preact/hooks';
import { divergingScale } from '../../draw/colours.js';
import { Figure } from '../../draw/figure.js';
import { decimal } from '../../draw/format.js';
import { HeatMap } from '../../draw/heat-map.js';
import { LineChart, type Point } from '../../draw/line-chart.js';
import { theme } from '../../theme.js';
import type { Table } from './index.js';

interface TableFigureProps {
  readonly table: Table;
  readonly layout: 'interleaved' | 'halves';
}

/** The sinusoidal table as a picture, and two of its columns as waves. */
export function TableFigure({ table, layout }: TableFigureProps) {
  const { length, width, values } = table;
  const [pointed, setPointed] = useState(8);
  const column = Math.min(pointed, width - 1);
  const half = Math.ceil(width / 2);
  const isSine = (feature: number) => (layout === 'interleaved' ? feature % 2 === 0 : feature < half);
  const wave = layout === 'interleaved' ? Math.floor(column / 2) : column % half;
  const [sine, cosine] = layout === 'interleaved' ? [2 * wave, 2 * wave + 1] : [wave, half + wave];
  const curve = (feature: number) =>
    Array.from({ length }, (_, position): Point => [position, values[position * width + feature] as number]);
  // Constant while columns are pointed at, so that the picture is not drawn again.
  const rows = useMemo(() => numbers(length), [length]);
  const columns = useMemo(() => numbers(width), [width]);
  const colour = useMemo(() => divergingScale(), [theme.value]);
  return (
    <div class="positions-table">
      <Figure
        title="The sinusoidal table"
        says="Each row is the vector that is added to the token at that position, each column one feature: a wave, fast on the left and slower to the right. Blue is above zero and orange below; point at a column to see its wave."
      >
        <HeatMap
          label={`Sinusoidal position vectors, ${length} positions by ${width} features.`}
          rows={rows}
          columns={columns}
          values={values}
          colour={colour}
          cellHeight={9}
          describe={({ row, column }) =>
            `position ${row}, feature ${column} (${isSine(column) ? 'sine' : 'cosine'}): ${decimal(values[row * width + column] as number, 3)}`
          }
          onActive={(cell) => cell && setPointed(cell.column)}
        />
      </Figure>
      <Figure
        title={`The waves of features ${sine} and ${cosine}`}
        says="A sine and a cosine of the same wavelength, read down two columns of the table. Together they are the hand of a clock, and each pair of columns is a clock of another speed."
      >
        <LineChart
          label={`Feature ${sine} is a sine over positions, feature ${cosine} the cosine of the same wavelength.`}
          series={[
            { name: `feature ${sine}, sine`, points: curve(sine), look: 'main' },
            ...(cosine < width
              ? [{ name: `feature ${cosine}, cosine`, points: curve(cosine), look: 'dashed' as const }]
              : []),
          ]}
          xTitle="position"
          yFormat={(value) => decimal(value, 1)}
          yRange={[-1, 1]}
        />
      </Figure>
    </div>
  );
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, number) => String(number));
}
