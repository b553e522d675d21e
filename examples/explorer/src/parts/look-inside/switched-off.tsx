import type { HeadId } from 'simdformer/inspect';
import { Figure } from '../../draw/figure.js';
import { spoken, weightText } from '../../draw/format.js';
import { saidTokens, type Traced } from '../../traced.js';
import { nameOf } from './heads.js';
import type { Without } from './index.js';

interface SwitchedOffProps {
  readonly before: Traced;
  readonly without: Without | null;
  readonly off: readonly HeadId[];
  readonly onSwitchOn: (heads: readonly HeadId[]) => void;
}

/** Answer of the model without the heads that are switched off, beside its answer with them. */
export function SwitchedOff({ before, without, off, onSwitchOn }: SwitchedOffProps) {
  const { said } = before;
  const now = without?.answer ?? said;
  const answer = saidTokens(said);
  const [sure, surer] = [before, without?.traced ?? before].map(({ trace }) => {
    const { shape, data } = trace.probabilities;
    return answer.map(({ id }, i) => data[i * (shape[1] as number) + id] as number);
  }) as [number[], number[]];
  return (
    <Figure
      title="Without some heads"
      says="The bars show how sure the model is of each sound it said, before and after heads are switched off. Heads that matter move the bars and change the answer; many can go unnoticed."
    >
      {off.length === 0 ? (
        <p class="empty">All heads are on. Choose a head above and switch it off to see its effect.</p>
      ) : (
        <ul class="off-list" aria-label="Heads that are switched off">
          {off.map((head) => (
            <li key={nameOf(head)}>
              <button type="button" onClick={() => onSwitchOn([head])}>
                {nameOf(head)}: switch on
              </button>
            </li>
          ))}
          {off.length > 1 && (
            <li>
              <button type="button" onClick={() => onSwitchOn(off)}>
                Switch all on
              </button>
            </li>
          )}
        </ul>
      )}
      <dl class="answers" aria-live="polite">
        <dt>With all heads</dt>
        <dd class="sound">{spoken(said)}</dd>
        <dt>Now</dt>
        <dd class="sound" data-now={now.phonemes.join(' ')}>
          {spoken(now)}
          {off.length > 0 && (
            <em>{now.phonemes.join(' ') === said.phonemes.join(' ') ? ' (the same)' : ' (changed)'}</em>
          )}
        </dd>
      </dl>
      <ol class="sureness">
        {answer.map(({ name }, i) => (
          <li key={i}>
            <span class="mono">{name}</span>
            <Bar probability={sure[i] as number} kind="was" />
            <Bar probability={surer[i] as number} kind="is" />
          </li>
        ))}
      </ol>
      <p class="legend">
        <span class="key was" /> with all heads <span class="key is" /> now
      </p>
    </Figure>
  );
}

function Bar({ probability, kind }: { probability: number; kind: 'was' | 'is' }) {
  return (
    <span class={`bar ${kind}`}>
      <span style={{ width: `${100 * probability}%` }} />
      <span class="mono">
        <span class="visually-hidden">{kind === 'was' ? 'with all heads ' : 'now '}</span>
        {weightText(probability)}
      </span>
    </span>
  );
}
