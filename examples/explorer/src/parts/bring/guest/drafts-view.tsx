import { useMemo } from 'preact/hooks';
import { useKept } from '../../../address.js';
import { Choice } from '../../../draw/controls.js';
import { Figure } from '../../../draw/figure.js';
import { AnswerLine } from './answer-line.js';
import { type Drafted, type Drafter, drafted, type Piece } from './drafts.js';
import type { ExperimentProps } from './experiments.js';
import { useAnswer } from './use-answer.js';

/** The text that a model writes with guesses, with accepted and rejected tokens marked. */
export default function DraftsView({ guest, text }: ExperimentProps) {
  const [drafter, setDrafter] = useKept<Drafter>('drafter', 'copy');
  const key = useMemo(() => ({ text, drafter }), [text, drafter]);
  const answer = useAnswer(guest, key, ({ text, drafter }) => drafted(guest, text, drafter));
  return (
    <Figure
      title="Guessed tokens"
      says="A drafter guesses several tokens, and the model reads them in one pass: it keeps those that it would have chosen and adds one of its own. Accepted guesses are underlined, rejected ones crossed out, and the text is the same as without guesses."
    >
      <div class="controls">
        <Choice<Drafter>
          label="Who guesses"
          value={drafter}
          options={{ copy: 'Its copy in int4', prompt: 'The text itself' }}
          onChange={setDrafter}
        />
      </div>
      <AnswerLine answer={answer} says={summary} />
      {answer.value && (
        <ol class="drafts" aria-label="Passes of the model">
          {answer.value.pieces.map((piece, i) => (
            <Pass key={i} piece={piece} />
          ))}
        </ol>
      )}
    </Figure>
  );
}

function summary({ guessed, accepted, written, pieces }: Drafted): string {
  return `${accepted} of ${guessed} guesses accepted: ${written} tokens in ${pieces.length} passes.`;
}

function Pass({ piece: { accepted, rejected, own } }: { piece: Piece }) {
  return (
    <li>
      {accepted.map(({ name }, i) => (
        <ins key={i}>{name}</ins>
      ))}
      {rejected.map(({ name }, i) => (
        <del key={i}>{name}</del>
      ))}
      {own && <span class="own">{own.name}</span>}
    </li>
  );
}
