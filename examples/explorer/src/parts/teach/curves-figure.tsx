import { Figure } from '../../draw/figure.js';
import { decimal, percent } from '../../draw/format.js';
import { LineChart } from '../../draw/line-chart.js';
import type { Report } from '../../training/trainer.js';

/** Curves of the training. */
export function CurvesFigure({ report }: { report: Report }) {
  const { losses, errors } = report;
  const loss = losses.at(-1);
  const error = errors.at(-1);
  const xRange = [0, Math.max(100, loss?.[0] ?? 0)] as const;
  return (
    <div class="columns">
      <Figure
        title="Loss"
        says="The loss measures how unexpected the right next sound is for the model, on the training words. It falls fast while the model learns which sounds are frequent, then slowly while it learns to read."
      >
        <LineChart
          label={loss ? `Loss by step, ${decimal(loss[1], 3)} at step ${loss[0]}.` : 'Loss by step, nothing yet.'}
          series={[{ name: 'loss', points: losses, look: 'main' }]}
          xTitle="steps"
          yFormat={(value) => decimal(value, 1)}
          xRange={xRange}
          yRange={[0, 1]}
        />
      </Figure>
      <Figure
        title="Test words that are wrong"
        says="The fraction of held-out words with at least one wrong sound. If the loss falls but this does not, the model only memorizes its words."
      >
        <LineChart
          label={error ? `Word error by step, ${percent(error[1])} at step ${error[0]}.` : 'Word error by step.'}
          series={[{ name: 'word error', points: errors, look: 'main' }]}
          xTitle="steps"
          yFormat={(value) => `${Math.round(value * 100)} %`}
          xRange={xRange}
          yRange={[0, 1]}
        />
      </Figure>
    </div>
  );
}
