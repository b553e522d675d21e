import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import type { Box, SampleMap, Seen } from './see.js';
import { useNumber } from './use-number.js';

/** Queries shown at most. */
const MAX_SHOWN = 20;

/** The boxes of a detector's queries on the picture. */
export function BoxesFigure({ seen, canvas }: { seen: Seen; canvas: HTMLCanvasElement }) {
  const [kept, setKept] = useKept<string>('least', '20');
  const [chosen, setChosen] = useKept<string>('query', '1');
  const least = Math.max(0, Math.min(95, Number(kept) || 0));
  const queries = useMemo(() => {
    const all = seen.boxes.map((box, query) => ({ ...box, query: query + 1 }));
    all.sort((a, b) => b.probability - a.probability);
    return all.filter(({ probability }) => probability >= least / 100).slice(0, MAX_SHOWN);
  }, [seen, least]);
  const layers = seen.samples.length;
  const [layer, setLayer] = useNumber('samples', layers, layers);
  const samples = seen.samples[layer - 1];
  const { width, height } = seen.image;
  const picture = useMemo(() => canvas.toDataURL(), [canvas]);
  return (
    <Figure
      title="Boxes by query"
      says={`Each query of the detector answers with one box and a label. Choose a query to see its box${samples ? ', and where it looks: larger dots have larger weights' : ''}. Most queries find nothing and have low probabilities.`}
    >
      <div class="controls">
        <Slider
          label="Least probability"
          value={least}
          min={0}
          max={95}
          step={5}
          format={(value) => `${value} %`}
          onChange={(value) => setKept(`${value}`)}
        />
        {samples && <Slider label="Dots of layer" value={layer} min={1} max={layers} step={1} onChange={setLayer} />}
      </div>
      <div class="boxes">
        <div>
          <svg
            class="boxes-picture"
            viewBox={`0 0 ${width} ${height}`}
            role="img"
            aria-label={`${queries.length} boxes`}
          >
            <image href={picture} width={width} height={height} />
            {queries.map((box) => (
              <BoxShape key={box.query} box={box} seen={seen} isChosen={`${box.query}` === chosen} />
            ))}
            {samples && <SampleDots samples={samples} query={Number(chosen) - 1} seen={seen} />}
          </svg>
        </div>
        <ol class="queries">
          {queries.map(({ query, label, probability }) => (
            <li key={query}>
              <button type="button" aria-pressed={`${query}` === chosen} onClick={() => setChosen(`${query}`)}>
                {query}: {label} <small>{percent(probability)}</small>
              </button>
            </li>
          ))}
        </ol>
        {queries.length === 0 && <p class="empty">No query is that sure. Lower the least probability.</p>}
      </div>
    </Figure>
  );
}

function BoxShape({ box, seen, isChosen }: { box: Box; seen: Seen; isChosen: boolean }) {
  const { width, height } = seen.image;
  return (
    <rect
      class={isChosen ? 'box chosen' : 'box'}
      x={box.left * width}
      y={box.top * height}
      width={box.width * width}
      height={box.height * height}
      vector-effect="non-scaling-stroke"
    />
  );
}

/** The places that a query reads, in all heads. The area of a dot is proportional to its weight. */
function SampleDots({ samples, query, seen }: { samples: SampleMap; query: number; seen: Seen }) {
  const { width, height } = seen.image;
  const dots = useMemo(() => samplesOfQuery(samples, query), [samples, query]);
  const largest = Math.max(...dots.map(({ weight }) => weight), 1e-9);
  return dots.map(({ x, y, weight }, i) => (
    <circle
      key={i}
      class="sample"
      cx={x * width}
      cy={y * height}
      r={0.02 * Math.max(width, height) * Math.sqrt(weight / largest)}
    />
  ));
}

function samplesOfQuery({ heads, queries, samples, places, weights }: SampleMap, query: number) {
  if (!(query < queries)) return [];
  return Array.from({ length: heads * samples }, (_, i) => {
    const at = (Math.floor(i / samples) * queries + query) * samples + (i % samples);
    return { x: places[2 * at] as number, y: places[2 * at + 1] as number, weight: weights[at] as number };
  });
}
