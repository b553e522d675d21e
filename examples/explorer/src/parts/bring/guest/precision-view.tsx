import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { sequentialScale } from '../../../draw/colours.js';
import { Choice } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { share } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { LineChart } from '../../../draw/line-chart.js';
import { theme } from '../../../theme.js';
import { AnswerLine } from './answer-line.js';
import type { ExperimentProps } from './experiments.js';
import { Guesses } from './guesses.js';
import { type Format, formats, type Rounding, roundingOf } from './precision.js';
import { useAnswer } from './use-answer.js';

/** Error of every layer if the weights are packed, and how the predictions change. */
export default function PrecisionView({ guest, reading }: ExperimentProps) {
  const [format, setFormat] = useKept<Format>('format', 'int4');
  const isFile = guest.source instanceof File;
  const { auto, ...others } = formats;
  const key = useMemo(() => ({ reading, format }), [reading, format]);
  const answer = useAnswer(guest, key, ({ reading, format }) => roundingOf(guest, reading, format));
  const found = answer.value;
  return (
    <Figure
      title="Error by layer with fewer bits"
      says="The model is loaded again with packed weights, and its vectors are compared with those of float32. The error, in percent of a vector’s length, starts at the embeddings and grows or shrinks from layer to layer."
    >
      <div class="controls">
        <Choice<Format>
          label="Format of the weights"
          value={format}
          options={(isFile ? { ...others, auto } : others) as Record<Format, string>}
          onChange={setFormat}
        />
      </div>
      <AnswerLine answer={answer} says={summary} />
      {found && <Pictures found={found} />}
    </Figure>
  );
}

function summary({ byLayer, changed, tokens, exact }: Rounding): string {
  const error = `After the last layer the error is ${share(byLayer.at(-1) as number)}.`;
  return exact.length === 0 ? error : `${error} The best guess changes at ${changed} of ${tokens.length} tokens.`;
}

function Pictures({ found }: { found: Rounding }) {
  const { byLayer, byToken, tokens, exact, packed } = found;
  const colour = useMemo(() => sequentialScale(byToken.reduce((a, b) => Math.max(a, b), 1e-9)), [found, theme.value]);
  const rows = useMemo(() => byLayer.map((_, i) => (i === 0 ? 'input' : `${i}`)), [found]);
  const columns = useMemo(() => tokens.map(({ name }) => name), [found]);
  return (
    <>
      <LineChart
        label={`Error by layer: ${byLayer.map(share).join(', ')}.`}
        series={[{ name: 'error', points: byLayer.map((error, i) => [i, error]), look: 'main' }]}
        xTitle="layer"
        isCounted
        yFormat={share}
        yRange={[0, 1e-6]}
      />
      <HeatMap
        label="Error, layers by tokens."
        rows={rows}
        columns={columns}
        values={byToken}
        colour={colour}
        cellSize={40}
        cellHeight={22}
        describe={({ row, column }) =>
          `“${columns[column]}”, ${row === 0 ? 'embeddings' : `layer ${row}`}: ${share(byToken[row * columns.length + column] as number)}`
        }
      />
      {exact.length > 0 && (
        <div class="columns">
          <Guesses label="At the last token, float32" guesses={exact} />
          <Guesses label="With fewer bits" guesses={packed} />
        </div>
      )}
    </>
  );
}
