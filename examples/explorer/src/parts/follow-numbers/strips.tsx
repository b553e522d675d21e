import { useMemo } from 'preact/hooks';
import { divergingScale } from '../../draw/colours.js';
import { decimal } from '../../draw/format.js';
import { HeatMap } from '../../draw/heat-map.js';
import { theme } from '../../theme.js';
import { spread } from './numbers.js';

interface StripsProps {
  /** Description of the strips for screen readers. */
  readonly label: string;
  readonly names: readonly string[];
  /** Row by row, as many rows as names. */
  readonly values: Float32Array;
  /** The value that has the fullest colour; default: nearly the largest. */
  readonly most?: number;
  /** The row that is followed. */
  readonly marked?: number;
}

/** Vectors as strips of colour, one below the other: orange below zero, blue above it. */
export function Strips({ label, names, values, most, marked }: StripsProps) {
  const width = values.length / names.length;
  const columns = useMemo(() => Array.from({ length: width }, () => ''), [width]);
  const rows = useMemo(() => names.map((name, row) => (row === marked ? `▸ ${name}` : name)), [names, marked]);
  const full = useMemo(() => most ?? spread(values), [most, values]);
  const colour = useMemo(() => divergingScale(full), [full, theme.value]);
  return (
    <HeatMap
      label={label}
      rows={rows}
      columns={columns}
      values={values}
      colour={colour}
      cellSize={16}
      cellHeight={16}
      describe={({ row, column }) =>
        `${names[row]}, feature ${column + 1}: ${decimal(values[row * width + column] as number)}`
      }
    />
  );
}
