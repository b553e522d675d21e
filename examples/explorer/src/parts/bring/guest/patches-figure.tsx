import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Choice, Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { type PatchMap, weightsOf } from './patch-map.js';
import { useNumber } from './use-number.js';

const kinds = { encoder: 'Patches', cross: 'Queries' } as const;

interface PatchesFigureProps {
  readonly maps: readonly PatchMap[];
  /** Picture or spectrogram from which the patches are cut. */
  readonly canvas: HTMLCanvasElement;
  readonly title?: string;
  readonly says?: string;
  /** Pixels. */
  readonly width?: number;
}

/** Attention of a patch, or of a query, over a picture. */
export function PatchesFigure({
  maps,
  canvas,
  title = 'Attention over patches',
  says = 'One token attends to the patches of the picture; it attends most to the bright ones. Choose a patch to look from there; head 0 is the mean of all heads.',
  width = 440,
}: PatchesFigureProps) {
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
    <Figure {...{ title, says }}>
      <div class="controls">
        {present.length > 1 && <Choice label="Which attention" value={kind} options={kinds} onChange={setKind} />}
        <Slider
          label="Layer"
          value={layer}
          min={1}
          max={layers.length}
          step={1}
          format={(place) => `${(layers[place - 1] as PatchMap).layer + 1}`}
          onChange={setLayer}
        />
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
        cellSize={width / map.columns}
        cellHeight={(width / map.columns) * (canvas.height / map.rows / (canvas.width / map.columns))}
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
