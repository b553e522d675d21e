// Figures of vectors: the embedding, the projections, the sums, and the vectors after each layer.

import type { SubLayerTrace, Values } from 'simdformer/inspect';
import { Figure } from '../../draw/figure.js';
import { matrixOf, rowOf } from '../../traced.js';
import { joined, spread } from './numbers.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

export function Embedding({ way }: { way: Way }) {
  const { token, position, sum } = way.stack.embedding;
  const parts = position ? { token, position, sum } : { token };
  const rows = Object.values(parts).map((values) => rowOf(values, way.token));
  const relative = way.config.positions.kind !== 'none';
  return (
    <Figure
      title={position ? 'Embedding + position' : 'Embedding'}
      says={
        position
          ? `“${way.name}” is looked up in a table of ${way.config.dModel} trained numbers, and place ${way.token + 1} adds a vector of its own. Choose the same token elsewhere in the word: the first strip stays, the second changes.`
          : `“${way.name}” is looked up in a table of ${way.config.dModel} trained numbers. ${relative ? 'This model adds no vector for the place: attention itself knows the distances, as shown next.' : 'This model has no information about the position of a token.'}`
      }
    >
      <Strips label="Embedding and position." names={Object.keys(parts)} values={joined(...rows)} />
    </Figure>
  );
}

export function Projections({ way }: { way: Way }) {
  const { q, k, v } = way.step.inside;
  const [query, keys, values] = [q, k, v].map((all) => matrixOf(all, way.head)) as [Values, Values, Values];
  return (
    <Figure
      title="Query, keys and values"
      says={`Three learned matrices map vectors of ${way.config.dModel} numbers to shorter ones for this head: the query of “${way.name}”, and a key and a value of each token. A key that resembles the query, colour by colour, gets a high weight.`}
    >
      <div class="pair">
        <div>
          <h4>Query of {way.name}, and the keys</h4>
          <Strips
            label="Query and keys."
            names={['query', ...way.keys]}
            values={joined(rowOf(query, way.token), keys.data)}
          />
        </div>
        <div>
          <h4>Values</h4>
          <Strips label="Values." names={way.keys} values={values.data} />
        </div>
      </div>
    </Figure>
  );
}

interface SumProps {
  readonly way: Way;
  readonly of: SubLayerTrace<{ output: Values }>;
  readonly what: string;
}

export function Sum({ way, of, what }: SumProps) {
  const rows = [of.input, of.inside.output, of.sum].map((values) => rowOf(values, way.token));
  return (
    <Figure
      title={`Add what ${what} found`}
      says={`The token’s vector is not replaced: ${what} adds to it. So the results of earlier layers stay readable, and gradients have a direct path back.`}
    >
      <Strips label="Before, added, and sum." names={['before', 'added', 'sum']} values={joined(...rows)} />
    </Figure>
  );
}

export function Layers({ way }: { way: Way }) {
  const { embedding, layers, norm } = way.stack;
  const rows = [embedding.sum, ...layers.map(({ output }) => output), ...(norm ? [norm.output] : [])];
  const names = ['start', ...layers.map((_, i) => `layer ${i + 1}`), ...(norm ? ['norm'] : [])];
  const vectors = rows.map((values) => rowOf(values, way.token));
  return (
    <Figure
      title="Through all layers"
      says="The same steps happen in every layer, each with its own weights. Read downwards to see which features the token gains and which it keeps."
    >
      <Strips
        label={`Vector of ${way.name} after each layer.`}
        names={names}
        values={joined(...vectors)}
        most={spread(...vectors)}
        marked={way.layer + 1}
      />
    </Figure>
  );
}
