import { useMemo } from 'preact/hooks';
import { type HeadId, withoutHeads } from 'simdformer/inspect';
import { useKept } from '../../../address.js';
import { Figure } from '../../../draw/figure.js';
import { nameOf, sameHead } from '../../look-inside/heads.js';
import { Guesses } from './guesses.js';
import type { Guess, Reading, Token } from './guest.js';
import { useAnswer } from './use-answer.js';

/** Heads that are switched off, as the address has them: `decoder.0.3 cross.1.2`. */
export function useHeadsOff(): [readonly HeadId[], (off: readonly HeadId[]) => void] {
  const [kept, setKept] = useKept<string>('off', '');
  const off = useMemo(() => kept.split(' ').flatMap(headIn), [kept]);
  return [
    off,
    (heads) => setKept(heads.map(({ attention, layer, head }) => `${attention}.${layer}.${head}`).join(' ')),
  ];
}

function headIn(text: string): HeadId[] {
  const found = /^(encoder|decoder|cross)\.(\d+)\.(\d+)$/.exec(text);
  if (found === null) return [];
  const [, attention, layer, head] = found;
  return [{ attention: attention as HeadId['attention'], layer: Number(layer), head: Number(head) }];
}

/** The reading of the same tokens without some heads. Null while all heads are on, and until it is computed. */
export function useWithoutHeads(reading: Reading, off: readonly HeadId[]): Reading | null {
  const { guest } = reading;
  const key = useMemo(() => (off.length === 0 ? null : { reading, off }), [reading, off]);
  const { value } = useAnswer(guest, key, async (key) => {
    const { readingOf } = await import('./read.js');
    const [ids, read] = [reading.source ?? reading.target, reading.target].map((tokens) => tokens?.map(({ id }) => id));
    const without = await withoutHeads(guest.model, key.off, () => readingOf(guest, ids as number[], read));
    return { key, without };
  });
  return value !== null && value.key === key ? value.without : null;
}

interface HeadsOffProps {
  readonly reading: Reading;
  readonly without: Reading | null;
  readonly off: readonly HeadId[];
  readonly onOff: (off: readonly HeadId[]) => void;
}

/** Predictions of the model without some heads, beside those with all heads. */
export function HeadsOff({ reading, without, off, onOff }: HeadsOffProps) {
  return (
    <Figure
      title="Without some heads"
      says="The bars show the predictions at one token, before and after heads are switched off. Heads that matter move the bars; many can go unnoticed."
    >
      {off.length === 0 ? (
        <p class="empty">All heads are on. Choose a head above and switch it off to see its effect.</p>
      ) : (
        <ul class="off-list" aria-label="Heads that are switched off">
          {off.map((head) => (
            <li key={nameOf(head)}>
              <button type="button" onClick={() => onOff(off.filter((other) => !sameHead(other, head)))}>
                {nameOf(head)}: switch on
              </button>
            </li>
          ))}
        </ul>
      )}
      {off.length > 0 && (
        <div class="columns" aria-live="polite">
          <Guesses label={`With all heads, ${placeOf(reading)}`} guesses={predictions(reading)} />
          {without && <Guesses label="Without them" guesses={predictions(without)} />}
        </div>
      )}
    </Figure>
  );
}

/** The token whose predictions are shown: the masked one, or the last one. */
function tokenOf({ guest, source, target }: Reading): { token: Token; at: number } {
  const tokens = (target ?? source) as readonly Token[];
  const masked = tokens.findIndex(({ id }) => id === guest.mask?.id);
  const at = masked < 0 ? tokens.length - 1 : masked;
  return { token: tokens[at] as Token, at };
}

const placeOf = (reading: Reading) => (reading.labels ? 'of the whole text' : `at “${tokenOf(reading).token.name}”`);

const predictions = (reading: Reading): readonly Guess[] => reading.labels ?? reading.guesses(tokenOf(reading).at);
