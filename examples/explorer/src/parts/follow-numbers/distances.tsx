import type { AttentionTrace, Values } from 'simdformer/inspect';
import { Figure } from '../../draw/figure.js';
import { matrixOf, rowOf } from '../../traced.js';
import { joined } from './numbers.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

/** Replaces position vectors in models with distances: the terms that self-attention adds for each distance. */
export function Distances({ way }: { way: Way }) {
  const { inside } = way.steps.selfAttention;
  const { relativeKeys, relativeValues, bias } = inside;
  if (relativeKeys && relativeValues) return <Vectors {...{ way, inside, relativeKeys, relativeValues }} />;
  return bias && <Biases {...{ way, inside, bias }} />;
}

interface VectorsProps {
  readonly way: Way;
  readonly inside: AttentionTrace;
  readonly relativeKeys: Values;
  readonly relativeValues: Values;
}

function Vectors({ way, inside, relativeKeys, relativeValues }: VectorsProps) {
  const seen = placesSeen(way, inside);
  const most = ((relativeKeys.shape[0] as number) - 1) / 2;
  const rows = seen.map(({ distance }) => most + Math.max(-most, Math.min(most, distance)));
  const names = seen.map(({ name }) => name);
  const ofDistances = (table: Values) => joined(...rows.map((row) => rowOf(table, row)));
  return (
    <Figure
      title="Distances instead of places"
      says={`Relative to “${way.name}”, a token at this distance after (+) or before (−) it gets these trained vectors: layer ${way.layer + 1} adds the first to its key and the second to its value. All distances beyond ${most} share one vector. Choose another token: the same vectors move with it.`}
    >
      <div class="pair">
        <div>
          <h4>Added to each key</h4>
          <Strips label="Vectors of distances, for keys." names={names} values={ofDistances(relativeKeys)} />
        </div>
        <div>
          <h4>Added to each value</h4>
          <Strips label="Vectors of distances, for values." names={names} values={ofDistances(relativeValues)} />
        </div>
      </div>
    </Figure>
  );
}

function Biases({ way, inside, bias }: { way: Way; inside: AttentionTrace; bias: Values }) {
  const seen = placesSeen(way, inside);
  const ofHeads = Array.from({ length: way.config.heads }, (_, head) => rowOf(matrixOf(bias, head), way.token));
  const values = Float32Array.from(seen.flatMap((_, key) => ofHeads.map((ofHead) => ofHead[key] as number)));
  return (
    <Figure
      title="Distances instead of places"
      says={`Relative to “${way.name}”, a token at this distance after (+) or before (−) it gets these trained numbers, one for each head: layer ${way.layer + 1} adds them to the scores. A head with a high number at −1 attends to the previous token, whatever it is.`}
    >
      <Strips
        label="Numbers of distances, a column for each head."
        names={seen.map(({ name }) => name)}
        values={values}
      />
    </Figure>
  );
}

/** Returns the tokens to which self-attention may attend, and their distances. */
function placesSeen({ token, tokens }: Way, { causal }: AttentionTrace) {
  const seen = causal ? tokens.slice(0, token + 1) : tokens;
  return seen.map((name, key) => ({ distance: key - token, name: `${name} ${signed(key - token)}` }));
}

function signed(distance: number): string {
  return distance < 0 ? `−${-distance}` : distance > 0 ? `+${distance}` : '0';
}
