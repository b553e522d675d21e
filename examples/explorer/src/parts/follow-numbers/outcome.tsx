import { Figure } from '../../draw/figure.js';
import { decimal, weightText } from '../../draw/format.js';
import { tokenName } from '../../model.js';
import { rowOf } from '../../traced.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

const SHOWN = 8;

/** Shows the final result: probabilities of the next token, or the memory that the decoder reads. */
export function Outcome({ way }: { way: Way }) {
  if (way.side === 'encoder') {
    return (
      <Figure
        title="What the decoder gets"
        says={`This is the encoder’s output for “${way.name}”. Every decoder layer computes keys and values from it. Choose a sound and cross attention above to see which sounds read it.`}
      >
        <Strips label="Output of the encoder." names={[way.name]} values={rowOf(way.stack.output, way.token)} />
      </Figure>
    );
  }
  const { logits, probabilities } = way.traced.trace;
  const { target } = way.traced.said.model;
  const chances = rowOf(probabilities, way.token);
  const scores = rowOf(logits, way.token);
  const best = Array.from(chances, (_, id) => id)
    .sort((a, b) => (chances[b] as number) - (chances[a] as number))
    .slice(0, SHOWN);
  return (
    <Figure
      title="The last softmax"
      says={`One matrix gives every sound a score, and softmax converts the scores to probabilities. Having read “${way.name}”, the model thinks that “${tokenName(target, best[0] as number)}” comes next.`}
    >
      <table class="scores outcome">
        <caption class="visually-hidden">Most probable tokens after {way.name}</caption>
        <thead>
          <tr>
            <th scope="col">Next</th>
            <th scope="col">Score</th>
            <th scope="col">Probability</th>
          </tr>
        </thead>
        <tbody>
          {best.map((id) => (
            <tr key={id}>
              <th scope="row">{tokenName(target, id)}</th>
              <td>{decimal(scores[id] as number)}</td>
              <td>
                <span class="weight" style={{ '--weight': chances[id] }}>
                  {weightText(chances[id] as number)}
                </span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Figure>
  );
}
