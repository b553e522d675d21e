import { useMemo, useState } from 'preact/hooks';
import type { Values } from 'simdformer/inspect';
import { divergingScale, sequentialScale } from '../../../draw/colours.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { decimal, percent } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { theme } from '../../../theme.js';
import type { Guess, Reading, Token } from './guest.js';

/** Vectors of the tokens from layer to layer. */
export function LayersView({ reading }: { reading: Reading }) {
  return (
    <>
      {reading.lens && <LensFigure reading={reading} lens={reading.lens} />}
      <LikenessFigure reading={reading} />
    </>
  );
}

/** Predictions of the model if it ended after a layer. */
function LensFigure({ reading, lens }: { reading: Reading; lens: readonly (readonly Guess[])[] }) {
  const names = useMemo(
    () => ((reading.target ?? reading.source) as readonly Token[]).map(({ name }) => name),
    [reading],
  );
  const final = names.map((_, i) => reading.guesses(i)[0] as Guess);
  const rows = [...lens, final];
  const colour = useMemo(() => sequentialScale(), [theme.value]);
  const values = useMemo(() => rows.flatMap((row) => row.map(({ probability }) => probability)), [reading]);
  const labels = useMemo(() => rows.map((_, i) => `${i + 1}`), [reading]);
  return (
    <Figure
      title="Guesses, layer by layer"
      says="Each row is a layer, each column a token. A cell shows how sure the model would be of its prediction if it ended at this layer. Point at a cell to see the predicted token."
    >
      <HeatMap
        label="Certainty of the prediction, layers by tokens."
        rows={labels}
        columns={names}
        values={values}
        colour={colour}
        cellSize={40}
        cellHeight={22}
        describe={({ row, column }) => {
          const { name, probability } = (rows[row] as readonly Guess[])[column] as Guess;
          return `${reading.target ? 'Behind' : 'At'} “${names[column]}”, layer ${row + 1}: “${name}”, ${percent(probability)}`;
        }}
      />
    </Figure>
  );
}

/** Shows the similarity of token vectors after a layer. */
function LikenessFigure({ reading }: { reading: Reading }) {
  const { encoder } = reading.trace ?? {};
  const tokens = (encoder ? reading.source : (reading.target ?? reading.source)) as readonly Token[];
  const states = encoder ? [...encoder.layers.map(({ input }) => input), encoder.output] : reading.states;
  const [wanted, setWanted] = useState<number | null>(null);
  const layer = Math.min(wanted ?? states.length - 1, states.length - 1);
  const values = useMemo(() => cosines(states[layer] as Values), [reading, layer]);
  const names = useMemo(() => tokens.map(({ name }) => name), [tokens]);
  const colour = useMemo(() => divergingScale(1), [theme.value]);
  return (
    <Figure
      title="How alike the tokens are"
      says="The cosine between the vectors of any two tokens: 1 if they point the same way, 0 if they have nothing in common. Move through the layers to see the text grow together."
    >
      <div class="controls">
        <Slider
          label="Behind layer"
          value={layer}
          min={0}
          max={states.length - 1}
          step={1}
          format={(at) => (at === 0 ? 'none: embeddings' : `${at} of ${states.length - 1}`)}
          onChange={setWanted}
        />
      </div>
      <HeatMap
        label="Cosines between tokens."
        rows={names}
        columns={names}
        values={values}
        colour={colour}
        cellSize={40}
        describe={({ row, column }) =>
          `${names[row]} and ${names[column]}: ${decimal(values[row * names.length + column] as number)}`
        }
      />
    </Figure>
  );
}

/** Cosines between the vectors of all tokens: [T, T]. */
function cosines({ data, shape }: Values): Float32Array {
  const [count, width] = shape as [number, number];
  const rows = Array.from({ length: count }, (_, i) => data.subarray(i * width, (i + 1) * width));
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
  const lengths = rows.map((row) => Math.sqrt(dot(row, row)) || 1);
  return Float32Array.from({ length: count * count }, (_, i) => {
    const [a, b] = [Math.floor(i / count), i % count];
    return dot(rows[a] as Float32Array, rows[b] as Float32Array) / (lengths[a] as number) / (lengths[b] as number);
  });
}
