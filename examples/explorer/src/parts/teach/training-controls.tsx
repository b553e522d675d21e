import { Slider } from '../../draw/controls.js';
import { Facts } from '../../draw/facts.js';
import type { Session } from '../../session.js';
import type { Trainer } from '../../training/trainer.js';

interface TrainingProps {
  readonly session: Session;
  readonly trainer: Trainer;
}

/** Controls: pause and resume, the learning rate, and actions for the model. */
export function TrainingControls({ session, trainer }: TrainingProps) {
  const { phase, learningRate, shared } = trainer;
  const running = phase.value === 'training';
  const attempt = (action: () => Promise<void>) => () => {
    action().catch((error) => session.report(error));
  };
  return (
    <div class="training">
      <Status trainer={trainer} />
      <div class="controls">
        <button
          type="button"
          class="main"
          disabled={phase.value === 'pausing'}
          onClick={running ? () => trainer.pause() : attempt(() => trainer.resume())}
        >
          {running ? 'Pause' : phase.value === 'pausing' ? 'Pausing…' : 'Resume'}
        </button>
        <button type="button" disabled={phase.value !== 'paused'} onClick={() => trainer.reset()}>
          Start over
        </button>
        <Slider
          {...{ label: 'Learning rate', min: -4, max: -1.5, step: 0.05, value: Math.log10(learningRate.value) }}
          format={(value) => (10 ** value).toPrecision(2)}
          onChange={(value) => {
            learningRate.value = 10 ** value;
          }}
        />
      </div>
      <div class="controls">
        <button
          type="button"
          onClick={attempt(async () => {
            await trainer.share();
            location.hash = 'look-inside';
          })}
        >
          Look inside this model
        </button>
        <label class="check">
          <input
            type="checkbox"
            checked={shared.value}
            onChange={(event) => {
              shared.value = event.currentTarget.checked;
            }}
          />
          All parts follow it as it learns
        </label>
        <button type="button" onClick={attempt(() => trainer.save())}>
          Save
        </button>
      </div>
    </div>
  );
}

function Status({ trainer }: { trainer: Trainer }) {
  const { step, speed, parameters, errors } = trainer.report.value;
  const error = errors.at(-1)?.[1] ?? 1;
  const facts: [string, string][] = [
    ['Steps', step.toLocaleString('en')],
    ['Words a second', speed === 0 ? '…' : Math.round(speed).toLocaleString('en')],
    ['Test words right', `${Math.round((1 - error) * 100)} %`],
    ['Parameters', parameters.toLocaleString('en')],
  ];
  return <Facts class="facts" facts={facts} />;
}
