import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { sequentialScale } from '../../../draw/colours.js';
import { Slider } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { decimal } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { theme } from '../../../theme.js';
import { AnswerLine } from './answer-line.js';
import type { ExperimentProps } from './experiments.js';
import { type Choices, choicesOf, type LayerChoice } from './experts.js';
import { useAnswer } from './use-answer.js';

/** The experts of every token: of all layers, and of one layer with their weights. */
export default function ExpertsView({ guest, reading }: ExperimentProps) {
  const answer = useAnswer(guest, reading, (reading) => choicesOf(guest, reading));
  return (
    <Figure
      title="Experts by token and layer"
      says="Each row is a layer, each column a token, and the number is the expert with the largest weight. Darker cells rely more on that expert; choose a row to see all experts of its layer below."
    >
      <AnswerLine answer={answer} says={summary} />
      {answer.value && <Pictures found={answer.value} />}
    </Figure>
  );
}

function summary({ layers }: Choices): string {
  const [first] = layers;
  return first
    ? `${layers.length} layers choose ${first.chosen} of ${first.experts} experts for each token.`
    : 'No layer chose experts for these tokens.';
}

/** Experts are numbered from 1. */
function expertsOf({ ids, weights, chosen }: LayerChoice, token: number): { expert: number; weight: number }[] {
  const all = Array.from({ length: chosen }, (_, i) => ({
    expert: (ids[token * chosen + i] as number) + 1,
    weight: weights[token * chosen + i] as number,
  }));
  return all.sort((a, b) => b.weight - a.weight);
}

function Pictures({ found: { tokens, layers } }: { found: Choices }) {
  const [kept, setKept] = useKept<string>('layer', '1');
  const at = Math.max(0, Math.min(layers.length, Number(kept) || 1) - 1);
  const shown = layers[at] as LayerChoice;
  const columns = useMemo(() => tokens.map(({ name }) => name), [tokens]);
  const rows = useMemo(() => layers.map(({ layer }) => `${layer + 1}`), [layers]);
  const first = useMemo(() => layers.map((layer) => tokens.map((_, token) => expertsOf(layer, token)[0])), [layers]);
  const values = useMemo(() => first.flatMap((row) => row.map((best) => best?.weight ?? 0)), [first]);
  const number = useMemo(() => {
    const flat = first.flat();
    return (_: number, index: number) => `${flat[index]?.expert ?? ''}`;
  }, [first]);
  const all = useMemo(() => weightsOf(shown, tokens.length), [shown]);
  const most = Math.max(...values, 1e-9);
  const colour = useMemo(() => sequentialScale(most), [most, theme.value]);
  const says = (layer: LayerChoice, token: number) =>
    `“${columns[token]}”, layer ${layer.layer + 1}: ${expertsOf(layer, token)
      .map(({ expert, weight }) => `expert ${expert} ${decimal(weight)}`)
      .join(', ')}`;
  return (
    <>
      <HeatMap
        label="Best expert, layers by tokens."
        rows={rows}
        columns={columns}
        values={values}
        colour={colour}
        cellSize={40}
        cellHeight={22}
        format={number}
        onChoose={({ row }) => setKept(`${row + 1}`)}
        describe={({ row, column }) => says(layers[row] as LayerChoice, column)}
      />
      <div class="controls spaced">
        <Slider
          label="All experts of layer"
          value={at + 1}
          min={1}
          max={layers.length}
          step={1}
          format={(i) => rows[i - 1] as string}
          onChange={(i) => setKept(`${i}`)}
        />
      </div>
      <HeatMap
        label="Weights, experts by tokens."
        rows={Array.from({ length: shown.experts }, (_, i) => `${i + 1}`)}
        columns={columns}
        values={all}
        colour={colour}
        cellSize={40}
        cellHeight={18}
        describe={({ row, column }) => {
          const weight = all[row * columns.length + column] as number;
          return `“${columns[column]}”, expert ${row + 1}: ${weight === 0 ? 'not chosen' : decimal(weight)}`;
        }}
      />
    </>
  );
}

/** Weights of all experts, 0 for those that are not chosen: [experts, T]. */
function weightsOf({ ids, weights, chosen, experts }: LayerChoice, count: number): Float32Array {
  const all = new Float32Array(experts * count);
  ids.forEach((expert, i) => {
    all[expert * count + Math.floor(i / chosen)] = weights[i] as number;
  });
  return all;
}
