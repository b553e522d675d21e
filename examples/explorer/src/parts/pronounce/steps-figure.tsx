import { Figure } from '../../draw/figure.js';
import { percent } from '../../draw/format.js';
import { type Model, tokenName } from '../../model.js';
import type { Pronunciation } from '../../pronounce.js';
import type { Session } from '../../session.js';
import { shaped } from './shaped.js';

/** Number of candidates shown for a step. */
const SHOWN = 6;

interface StepsProps {
  readonly session: Session;
  readonly said: Pronunciation;
}

/** Shows every step of the answer: the chosen token and its alternatives. */
export function StepsFigure({ session, said }: StepsProps) {
  const { word, target, forced, steps, model } = said;
  const decoding = session.decoding.value;
  const sampling = decoding.kind === 'sample';
  const force = (tokens: readonly number[]) => {
    session.forced.value = { word, tokens };
  };
  return (
    <Figure
      title="Step by step"
      says={
        sampling
          ? 'Outlines are the model’s probabilities. Filled bars are the probabilities after temperature, top-k and top-p. Choose another sound to see how the model would continue.'
          : 'Each card is one step of the decoder: the sound it chose on top, and the most probable ones below with their probabilities. Choose another sound to see how the model would continue.'
      }
    >
      {forced.length > 0 && (
        <p class="forced">
          You chose the beginning, “{forced.map((id) => tokenName(model.target, id)).join(' ')}”.{' '}
          <button type="button" onClick={() => force([])}>
            Let the model choose
          </button>
        </p>
      )}
      <ol class="steps">
        {steps.map((logProbabilities, i) => (
          <StepCard
            key={i}
            number={i + 1}
            chosen={target[i] ?? (model.target.eosId as number)}
            forced={i < forced.length}
            probabilities={logProbabilities.map(Math.exp)}
            chances={sampling ? shaped(logProbabilities, decoding) : null}
            model={model}
            onChoose={(token) => force([...target.slice(0, i), token])}
          />
        ))}
      </ol>
    </Figure>
  );
}

interface CardProps {
  readonly number: number;
  readonly chosen: number;
  readonly forced: boolean;
  readonly probabilities: Float32Array;
  /** Probabilities after temperature, top-k and top-p; null without sampling. */
  readonly chances: Float32Array | null;
  readonly model: Model;
  readonly onChoose: (token: number) => void;
}

function StepCard({ number, chosen, forced, probabilities, chances, model, onChoose }: CardProps) {
  const name = (token: number) => tokenName(model.target, token);
  return (
    <li class="step" data-token={name(chosen)}>
      <h4>
        <span class="step-number">{number}</span> <span class="step-sound">{name(chosen)}</span>
        <span class="step-probability">{forced ? 'your choice' : percent(probabilities[chosen] as number)}</span>
      </h4>
      <ul>
        {mostProbable(probabilities, chosen).map((token) => {
          const probability = probabilities[token] as number;
          const chance = chances?.[token] as number | undefined;
          const cut = chance === 0;
          const says = chance === undefined ? percent(probability) : cut ? 'cut off' : percent(chance);
          const isEnd = token === model.target.eosId;
          return (
            <li key={token}>
              <button
                type="button"
                class={`candidate ${token === chosen ? 'chosen' : ''} ${cut ? 'cut' : ''}`}
                aria-pressed={token === chosen}
                disabled={isEnd}
                onClick={() => onChoose(token)}
              >
                <span class="candidate-name">{name(token)}</span>{' '}
                <span class="candidate-bar">
                  {chance !== undefined && <span class="bar ghost" style={{ width: `${probability * 100}%` }} />}
                  <span class="bar" style={{ width: `${(chance ?? probability) * 100}%` }} />
                </span>
                <span class="candidate-percent">{says}</span>
              </button>
            </li>
          );
        })}
      </ul>
    </li>
  );
}

/** The most probable tokens, and the chosen one in any case. */
function mostProbable(probabilities: Float32Array, chosen: number): number[] {
  const ranked = Array.from(probabilities.keys()).sort(
    (a, b) => (probabilities[b] as number) - (probabilities[a] as number),
  );
  const best = ranked.slice(0, SHOWN);
  return best.includes(chosen) ? best : [...best.slice(0, -1), chosen];
}
