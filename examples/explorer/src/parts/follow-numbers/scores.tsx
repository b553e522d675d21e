import { useMemo, useState } from 'preact/hooks';
import { addressOf } from '../../address.js';
import { sequentialScale } from '../../draw/colours.js';
import { Figure } from '../../draw/figure.js';
import { decimal, weightText } from '../../draw/format.js';
import { HeatMap } from '../../draw/heat-map.js';
import { theme } from '../../theme.js';
import { attend, entropy } from './numbers.js';
import { placeOf, type Way } from './way.js';

interface ScoresProps {
  readonly way: Way;
  readonly onToken: (token: number) => void;
}

/** Shows the computation from q·k to weights. Two steps can be switched off to see their effect. */
export function Scores({ way, onToken }: ScoresProps) {
  const { inside } = way.step;
  const [scaled, setScaled] = useState(true);
  const [unmasked, setUnmasked] = useState(false);
  const masked = inside.causal && !unmasked;
  const own = useMemo(() => attend(inside, way.head, { scaled: true, masked: inside.causal }), [inside, way.head]);
  const now = useMemo(() => attend(inside, way.head, { scaled, masked }), [inside, way.head, scaled, masked]);
  const colour = useMemo(() => sequentialScale(), [theme.value]);
  const { keys, tokens, token } = way;
  const row = (values: Float32Array) => values.subarray(token * keys.length, (token + 1) * keys.length);
  const [scores, weights, usual] = [row(now.scores), row(now.weights), row(own.weights)];
  const root = `√${Math.round(inside.scale ** -2)}`;
  return (
    <Figure
      title="Scores, scaled and masked"
      says={`The query of “${way.name}” is multiplied with every key, the products are divided by ${root}${inside.causal ? ', what comes later is hidden' : ''}, and softmax makes weights of them that sum to one. Leave out the division and the weights harden until one key takes all${inside.causal ? '; leave out the mask and they leak to sounds that were not said yet' : ''}.`}
    >
      <div class="controls">
        <label>
          <input type="checkbox" checked={scaled} onChange={() => setScaled(!scaled)} /> divide by {root}
        </label>
        {inside.causal && (
          <label>
            <input type="checkbox" checked={masked} onChange={() => setUnmasked(!unmasked)} /> mask what comes later
          </label>
        )}
        <a href={addressOf('look-inside', placeOf(way))}>See this head among the others →</a>
      </div>
      <p class="finding" aria-live="polite">
        Entropy of the weights: {entropy(weights).toFixed(2)} bits
        {scaled && masked === inside.causal ? '' : `, instead of ${entropy(usual).toFixed(2)} in the model`}.
      </p>
      <div class="pair">
        <table class="scores">
          <caption class="visually-hidden">Scores and weights of {way.name}</caption>
          <thead>
            <tr>
              <th scope="col">Key</th>
              <th scope="col">{inside.relative ? 'q·k + q·r' : 'q·k'}</th>
              <th scope="col">Score</th>
              <th scope="col">Weight</th>
            </tr>
          </thead>
          <tbody>
            {keys.map((key, i) => (
              <tr key={i} class={scores[i] === Number.NEGATIVE_INFINITY ? 'hidden-key' : ''}>
                <th scope="row">{key}</th>
                <td>{decimal(productAt(way, i))}</td>
                <td>{decimal(scores[i] as number)}</td>
                <td>
                  <span class="weight" style={{ '--weight': weights[i], '--usual': usual[i] }}>
                    {weightText(weights[i] as number)}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        <HeatMap
          label="Weights of this head for all tokens; Enter chooses a row."
          rows={tokens}
          columns={keys}
          values={now.weights}
          colour={colour}
          cellSize={30}
          marked={{ row: token, column: weights.indexOf(Math.max(...weights)) }}
          describe={({ row, column }) =>
            `${tokens[row]} looks at ${keys[column]}: ${weightText(now.weights[row * keys.length + column] as number)}`
          }
          onChoose={({ row }) => onToken(row)}
        />
      </div>
    </Figure>
  );
}

function productAt({ step, head, token, keys, tokens }: Way, key: number): number {
  const { products, relative } = step.inside;
  const at = (head * tokens.length + token) * keys.length + key;
  return (products.data[at] as number) + (relative?.data[at] ?? 0);
}
