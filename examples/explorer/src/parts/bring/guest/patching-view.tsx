import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { divergingScale } from '../../../draw/colours.js';
import { Figure } from '../../../draw/figure.js';
import { decimal } from '../../../draw/format.js';
import { HeatMap } from '../../../draw/heat-map.js';
import { theme } from '../../../theme.js';
import { AnswerLine } from './answer-line.js';
import type { ExperimentProps } from './experiments.js';
import { type Patched, patched } from './patching.js';
import { useAnswer } from './use-answer.js';

/** The effect of single vectors of another text on the prediction. */
export default function PatchingView({ guest, reading, text }: ExperimentProps) {
  const [other, setOther] = useKept<string>('other', '');
  const key = useMemo(() => (other.trim() ? { reading, other } : null), [reading, other]);
  const answer = useAnswer(guest, key, ({ reading, other }) => patched(guest, reading, other));
  return (
    <Figure
      title="Vectors of another text"
      says="One vector of this text is replaced by that of another text, at one layer and token, and the rest is computed again. Blue cells move the prediction to the other text’s, and 1 is all the way: there the model keeps what differs."
    >
      <div class="guest-text">
        <label for="guest-other">Another text with as many tokens</label>
        <textarea
          id="guest-other"
          rows={2}
          value={other}
          placeholder={text}
          spellcheck={false}
          onInput={(event) => setOther(event.currentTarget.value)}
        />
      </div>
      <AnswerLine answer={answer} says={summary} />
      {answer.value && <Effects found={answer.value} />}
    </Figure>
  );
}

function summary({ own, other, least, most }: Patched): string {
  return `Logit of “${other.name}” minus logit of “${own.name}”: ${decimal(least)} here, ${decimal(most)} after the other text.`;
}

function Effects({ found: { tokens, others, effects } }: { found: Patched }) {
  const columns = useMemo(() => tokens.map(({ name }) => name), [tokens]);
  const rows = useMemo(
    () => Array.from({ length: effects.length / tokens.length }, (_, layer) => (layer === 0 ? 'input' : `${layer}`)),
    [effects, tokens],
  );
  const colour = useMemo(() => divergingScale(1), [theme.value]);
  return (
    <HeatMap
      label="Effect on the prediction, layers by tokens."
      rows={rows}
      columns={columns}
      values={effects}
      colour={colour}
      cellSize={48}
      cellHeight={24}
      format={(value) => decimal(value)}
      describe={({ row, column }) => {
        const [here, there] = [tokens, others].map((each) => each[column]?.name);
        const place = row === 0 ? 'at the input' : `behind layer ${row}`;
        return `“${there}” instead of “${here}” ${place}: ${decimal(effects[row * columns.length + column] as number)}`;
      }}
    />
  );
}
