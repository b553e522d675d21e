import { percent } from '../../../draw/format.js';
import type { Guess } from './guest.js';

/** Guesses with their probabilities, best first. */
export function Guesses({ label, guesses }: { label: string; guesses: readonly Guess[] }) {
  return (
    <div class="guesses">
      <h4>{label}</h4>
      <ol>
        {guesses.map(({ name, probability }, i) => (
          <li key={i}>
            <span class="guess-name">{name}</span>
            <span class="bar" aria-hidden="true">
              <span style={{ width: `${100 * probability}%` }} />
            </span>
            <span class="guess-percent">{percent(probability)}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}
