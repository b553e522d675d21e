import { Figure } from '../../draw/figure.js';
import { rowOf } from '../../traced.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

/** The network that each token goes through alone. */
export function FeedForward({ way }: { way: Way }) {
  const { hidden, active, output } = way.steps.feedForward.inside;
  const { dFF, dModel, activation } = way.config;
  const [before, after] = [hidden, active].map((values) => folded(rowOf(values, way.token), dModel)) as [
    Folded,
    Folded,
  ];
  const on = rowOf(active, way.token).filter((value) => Math.abs(value) > 1e-3).length;
  return (
    <Figure
      title="Feed-forward"
      says={`Each token is processed separately by ${dFF} detectors. ${activation} passes on only those that detect something: ${on} of them here. A second matrix combines them to a vector of ${dModel} numbers.`}
    >
      <h4>
        {dFF} detectors, before {activation}
      </h4>
      <Strips label={`Hidden features before ${activation}.`} {...before} />
      <h4>After {activation}</h4>
      <Strips label={`Hidden features after ${activation}.`} {...after} />
      <h4>What they add up to</h4>
      <Strips label="Output of the feed-forward network." names={['output']} values={rowOf(output, way.token)} />
    </Figure>
  );
}

interface Folded {
  readonly names: readonly string[];
  readonly values: Float32Array;
}

/** A long vector in rows of `width`; the last one is filled up with NaN. */
function folded(vector: Float32Array, width: number): Folded {
  const rows = Math.ceil(vector.length / width);
  const values = new Float32Array(rows * width).fill(Number.NaN);
  values.set(vector);
  return { values, names: Array.from({ length: rows }, (_, row) => `${row * width + 1}–`) };
}
