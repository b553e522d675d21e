import { useMemo } from 'preact/hooks';
import { sequentialScale } from '../../../draw/colours.js';
import { Figure } from '../../../draw/figure.js';
import { decimal } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { LineChart, type Point } from '../../../draw/line-chart.js';
import { theme } from '../../../theme.js';
import { AnswerLine } from './answer-line.js';
import type { ExperimentProps } from './experiments.js';
import { type Remembered, remembered } from './memory.js';
import { useAnswer } from './use-answer.js';

/** The memory of a decoder: how it grows with the text, and the states of recurrent layers. */
export default function MemoryView({ guest, reading }: ExperimentProps) {
  const answer = useAnswer(guest, reading, (reading) => remembered(guest, reading));
  const found = answer.value;
  return (
    <>
      <Figure
        title="What it remembers"
        says="Attention keeps keys and values of every token, so its memory grows with the text. Recurrent layers keep one state of fixed size, and layers that share keys keep nothing of their own."
      >
        <AnswerLine answer={answer} says={summary} />
        {found && <Growth found={found} longest={guest.model.maxLength} />}
        {found && <Layers found={found} />}
      </Figure>
      {found && found.recurrent.length > 0 && <States found={found} />}
    </>
  );
}

const bytes = (count: number, digits = 1) =>
  count >= 2 ** 20
    ? `${decimal(count / 2 ** 20, digits)} MB`
    : count >= 1024
      ? `${decimal(count / 1024, digits)} kB`
      : `${count} B`;

function totals({ layers }: Remembered): { perToken: number; fixed: number } {
  const total = (of: 'perToken' | 'fixed') => layers.reduce((sum, layer) => sum + layer[of], 0);
  return { perToken: total('perToken'), fixed: total('fixed') };
}

function summary(found: Remembered): string {
  const { perToken, fixed } = totals(found);
  const states = fixed > 0 ? `, and ${bytes(fixed)} of states` : '';
  return `Each token adds ${bytes(perToken)} of keys and values in float32${states}: ${bytes(perToken * found.tokens.length + fixed)} for this text.`;
}

function Growth({ found, longest }: { found: Remembered; longest: number }) {
  const { perToken, fixed } = totals(found);
  const end = Math.min(longest, 4096);
  const line = (share: number): Point[] => [
    [0, fixed],
    [end, fixed + share * perToken * end],
  ];
  return (
    <LineChart
      label={`Memory for ${end} tokens: ${bytes(fixed + perToken * end)} in float32.`}
      series={[
        { name: 'float32', points: line(1), look: 'main' },
        { name: 'float16', points: line(1 / 2), look: 'dashed' },
      ]}
      xTitle="tokens"
      yFormat={(count) => bytes(count, 0)}
      yRange={[0, 1]}
    />
  );
}

/** Layers by what they keep, those with the same together. */
function Layers({ found: { layers } }: { found: Remembered }) {
  const kinds = new Map<string, number[]>();
  for (const [i, { perToken, fixed }] of layers.entries()) {
    const parts = [
      perToken > 0 ? `${bytes(perToken)} for each token` : '',
      fixed > 0 ? `a state of ${bytes(fixed)}` : '',
    ];
    const kind = parts.filter(Boolean).join(', ') || 'nothing of its own';
    kinds.set(kind, [...(kinds.get(kind) ?? []), i + 1]);
  }
  return (
    <ul class="layer-memory">
      {[...kinds].map(([kind, some]) => (
        <li key={kind}>
          {some.length > 1 ? 'Layers' : 'Layer'} {some.join(', ')}: {kind}
        </li>
      ))}
    </ul>
  );
}

function States({ found: { tokens, recurrent, norms } }: { found: Remembered }) {
  const columns = useMemo(() => tokens.map(({ name }) => name), [tokens]);
  const rows = useMemo(() => recurrent.map((layer) => `${layer + 1}`), [recurrent]);
  const most = useMemo(() => norms.reduce((a, b) => Math.max(a, b), 1e-9), [norms]);
  const colour = useMemo(() => sequentialScale(most), [most, theme.value]);
  return (
    <Figure
      title="States of recurrent layers"
      says="Each row is a recurrent layer, and its colours show the norm of the state after each token. A state that grows collects the text; one that shrinks forgets."
    >
      <HeatMap
        label="Norm of the state, layers by tokens."
        rows={rows}
        columns={columns}
        values={norms}
        colour={colour}
        cellSize={40}
        cellHeight={22}
        describe={({ row, column }) =>
          `After “${columns[column]}”, layer ${rows[row]}: ${decimal(norms[row * columns.length + column] as number)}`
        }
      />
    </Figure>
  );
}
