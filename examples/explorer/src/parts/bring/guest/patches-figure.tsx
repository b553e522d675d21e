import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Choice, Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import type { PatchMap, Seen } from './see.js';
import { useNumber } from './use-number.js';

const kinds = { encoder: 'Patches', cross: 'Queries' } as const;

/** Attention of a patch, or of a query, over the picture. */
export function PatchesFigure({ seen, canvas }: { seen: Seen; canvas: HTMLCanvasElement }) {
  const { maps } = seen;
  const [wanted, setKind] = useKept<PatchMap['kind']>('looks', 'encoder');
  const present = (['encoder', 'cross'] as const).filter((kind) => maps.some((map) => map.kind === kind));
  const kind = present.includes(wanted) ? wanted : (present[0] as PatchMap['kind']);
  const layers = maps.filter((map) => map.kind === kind);
  const [layer, setLayer] = useNumber('layer', layers.length, layers.length);
  const map = layers[layer - 1] as PatchMap;
  const [head, setHead] = useNumber('head', 0, map.heads);
  const [query, setQuery] = useNumber('query', 1, map.queries);
  const weights = useMemo(() => weightsOf(map, head, query - 1), [map, head, query]);
  const most = useMemo(() => weights.reduce((a, b) => Math.max(a, b), 1e-9), [weights]);
  const colour = useMemo(() => (weight: number) => `rgb(0 0 0 / ${0.8 * (1 - weight / most)})`, [most]);
  const [rows, columns] = useMemo(() => [map.rows, map.columns].map((count) => Array<string>(count).fill('')), [map]);
  const name = nameOf(map, query - 1);
  const at = query - 1 - map.extra;
  return (
    <Figure
      title="Attention over patches"
      says="One token attends to the patches of the picture; it attends most to the bright ones. Choose a patch to look from there; head 0 is the mean of all heads."
    >
      <div class="controls">
        {present.length > 1 && <Choice label="Which attention" value={kind} options={kinds} onChange={setKind} />}
        <Slider label="Layer" value={layer} min={1} max={layers.length} step={1} onChange={setLayer} />
        <Slider label="Head" value={head} min={0} max={map.heads} step={1} onChange={setHead} />
        <Slider
          label="From"
          value={query}
          min={1}
          max={map.queries}
          step={1}
          format={(token) => nameOf(map, token - 1)}
          onChange={setQuery}
        />
      </div>
      <HeatMap
        label={`Attention of ${name} over the patches.`}
        rows={rows as string[]}
        columns={columns as string[]}
        values={weights}
        colour={colour}
        backdrop={canvas}
        cellSize={440 / map.columns}
        cellHeight={(440 / map.columns) * (seen.image.height / map.rows / (seen.image.width / map.columns))}
        marked={kind === 'encoder' && at >= 0 ? { row: Math.floor(at / map.columns), column: at % map.columns } : null}
        onChoose={({ row, column }) => kind === 'encoder' && setQuery(map.extra + row * map.columns + column + 1)}
        describe={({ row, column }) =>
          `${name} to row ${row + 1}, column ${column + 1}: ${percent(weights[row * map.columns + column] as number)}`
        }
      />
    </Figure>
  );
}

function nameOf({ kind, extra, columns }: PatchMap, query: number): string {
  if (kind === 'cross') return `query ${query + 1}`;
  if (query < extra) return query === 0 ? 'the class token' : `register ${query}`;
  const at = query - extra;
  return `row ${Math.floor(at / columns) + 1}, column ${(at % columns) + 1}`;
}

/** Weights of a query over the patches, in one head counted from 1, or the mean of all heads. */
function weightsOf(
  { heads, queries, extra, rows, columns, weights }: PatchMap,
  head: number,
  query: number,
): Float32Array {
  const count = rows * columns;
  const sums = new Float32Array(count);
  const some = head > 0 ? [head - 1] : Array.from({ length: heads }, (_, i) => i);
  for (const each of some) {
    const from = (each * queries + query) * (extra + count) + extra;
    for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) + (weights[from + i] as number) / some.length;
  }
  return sums;
}
