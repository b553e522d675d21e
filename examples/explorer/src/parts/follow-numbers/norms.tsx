import { useState } from 'preact/hooks';
import type { NormTrace } from 'simdformer/inspect';
import { Figure } from '../../draw/figure.js';
import { decimal } from '../../draw/format.js';
import { rowOf } from '../../traced.js';
import { batchNorm, joined, spread } from './numbers.js';
import { Strips } from './strips.js';
import type { Way } from './way.js';

interface NormProps {
  readonly way: Way;
  readonly norm: NormTrace;
}

/** Shows layer normalization of every token, beside batch normalization of the same numbers. */
export function Norm({ way, norm }: NormProps) {
  const [halved, setHalved] = useState(false);
  const { tokens, token, config } = way;
  const width = config.dModel;
  const all = tokens.map(() => true);
  const present = halved ? tokens.map((_, i) => i % 2 === token % 2) : all;
  const layer = norm.output.data.map((value, i) => (present[Math.floor(i / width)] ? value : Number.NaN));
  const batch = batchNorm(norm, config.layerNormEps, present);
  const full = spread(norm.output.data);
  const moved = meanDifference(
    rowOf({ shape: [width], data: batch }, token),
    rowOf({ shape: [width], data: batchNorm(norm, config.layerNormEps, all) }, token),
  );
  const [mean, variance] = [norm.mean, norm.variance].map(({ data }) => data[token] as number) as [number, number];
  const kind = kindOf(way);
  return (
    <Figure
      title={`${kind.name}, and why not batch norm`}
      says={`${kind.name} ${kind.does}, independent of other tokens. Then it scales every feature by a learned weight. Batch norm would normalize each column over all tokens, so that a token’s numbers depend on the other tokens: leave some out to see this.`}
    >
      <BeforeAndAfter way={way} norm={norm} />
      <p class="finding">
        The {width} numbers of “{way.name}” have {kind.measured(mean, variance)} before.
      </p>
      <div class="controls">
        <label>
          <input type="checkbox" checked={halved} onChange={() => setHalved(!halved)} /> leave every second token out
        </label>
      </div>
      <div class="pair">
        <div>
          <h4>{kind.name}</h4>
          <Strips label={`Tokens after ${kind.name}.`} names={tokens} values={layer} most={full} marked={token} />
        </div>
        <div>
          <h4>Batch norm</h4>
          <Strips label="Tokens after batch norm." names={tokens} values={batch} most={full} marked={token} />
        </div>
      </div>
      {halved && (
        <p class="finding" aria-live="polite">
          Without the others, batch norm moves the numbers of “{way.name}” by {decimal(moved)} on average; {kind.name}{' '}
          by 0.
        </p>
      )}
    </Figure>
  );
}

/** Shows the norm of the feed-forward network, which has its own weights. */
export function NormAgain({ way, norm }: NormProps) {
  return (
    <Figure
      title={`${kindOf(way).name} again`}
      says="Every sub-layer has a norm with its own weights. It keeps the numbers in the range for which the next matrix was trained, however much earlier layers have added."
    >
      <BeforeAndAfter way={way} norm={norm} />
    </Figure>
  );
}

/** Explanation of the model's kind of norm. */
function kindOf({ config }: Way) {
  return config.normalization === 'rms'
    ? {
        name: 'RMS norm',
        does: 'divides each token, each row here, by the root mean square of its numbers',
        measured: (_: number, square: number) => `root mean square ${decimal(Math.sqrt(square))}`,
      }
    : {
        name: 'Layer norm',
        does: 'brings each token, each row here, to mean 0 and variance 1',
        measured: (mean: number, variance: number) => `mean ${decimal(mean)} and variance ${decimal(variance)}`,
      };
}

function BeforeAndAfter({ way: { name, token }, norm }: NormProps) {
  return (
    <Strips
      label={`Vector of ${name} before and after the norm.`}
      names={['before', 'after']}
      values={joined(rowOf(norm.input, token), rowOf(norm.output, token))}
    />
  );
}

function meanDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + Math.abs(x - (b[i] as number)), 0) / a.length;
}
