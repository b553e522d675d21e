import { Figure } from '../../draw/figure.js';
import { matrixOf, rowOf } from '../../traced.js';
import { joined, spread, weighted } from './numbers.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

/** Shows the weighted values, their sum, and the combined output of the heads. */
export function Mixing({ way }: { way: Way }) {
  const { weights, v, outputs, output } = way.step.inside;
  const ofToken = rowOf(matrixOf(weights, way.head), way.token);
  const shares = weighted(ofToken, matrixOf(v, way.head));
  const found = rowOf(matrixOf(outputs, way.head), way.token);
  const heads = Array.from({ length: way.config.heads }, (_, head) => rowOf(matrixOf(outputs, head), way.token));
  const full = spread(shares, found);
  return (
    <Figure
      title="The weighted sum"
      says={`The values are multiplied by their weights and added. The sum is the output of this head for “${way.name}”. The outputs of all heads are concatenated and multiplied by one more matrix. Attention adds the result to the token.`}
    >
      <h4>Values × weights</h4>
      <Strips label="Values times weights." names={way.keys} values={shares} most={full} />
      <h4>Their sum{way.config.positions.kind === 'shaw' && ', and what the distances add'}</h4>
      <Strips label="Sum." names={['sum']} values={found} most={full} />
      <div class="pair">
        <div>
          <h4>All heads</h4>
          <Strips
            label="What each head found."
            names={heads.map((_, head) => `head ${head + 1}`)}
            values={joined(...heads)}
            marked={way.head}
          />
        </div>
        <div>
          <h4>After the output matrix</h4>
          <Strips label="Output of attention." names={['output']} values={rowOf(output, way.token)} />
        </div>
      </div>
    </Figure>
  );
}
