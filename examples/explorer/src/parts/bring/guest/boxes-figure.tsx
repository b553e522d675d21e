import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { percent } from '../../../draw/format.js';
import type { Box, Seen } from './see.js';

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
  const { width, height } = seen.image;
  const picture = useMemo(() => canvas.toDataURL(), [canvas]);
  return (
    <Figure
      title="Boxes by query"
      says="Each query of the detector answers with one box and a label. Choose a query to see its box; most queries find nothing and have low probabilities."
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
