import { useState } from 'preact/hooks';
import type { ZeroShotScores } from 'simdformer/tasks';
import { type Origin, openTask, type Report } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = ['Xenova/nli-deberta-v3-xsmall', 'MoritzLaurer/DeBERTa-v3-base-mnli-fever-anli'];

const load = (origin: Origin, report: Report, stop: AbortSignal) =>
  openTask('zero-shot-classification', origin, report, stop);

/** Sorts texts into classes that a person names. */
export function ClassifyTab() {
  const model = useModel(load);
  const work = useWork();
  const [texts, setTexts] = useState('The delivery came two weeks late.\nThe battery lasts for days.');
  const [labels, setLabels] = useState('delivery, battery, price');
  const [scores, setScores] = useState<readonly ZeroShotScores[]>([]);
  const ready = model.state.kind === 'ready' ? model.state.value : null;

  const classify = () =>
    work.run(async (signal) => {
      if (ready === null) throw new Error('Load a model first.');
      const lines = texts.split('\n').filter((line) => line.trim() !== '');
      const names = labels.split(',').map((name) => name.trim());
      setScores(await ready(lines, names, { signal }));
    });

  return (
    <>
      <ModelBar model={model} suggestions={SUGGESTIONS} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void classify();
        }}
      >
        <label>
          Texts, one a line <textarea rows={4} value={texts} onInput={(event) => setTexts(event.currentTarget.value)} />
        </label>
        <label>
          Labels, separated by commas <input value={labels} onInput={(event) => setLabels(event.currentTarget.value)} />
        </label>
        <div class="row">
          <button type="submit" class="main" disabled={work.isBusy || ready === null}>
            Classify
          </button>
          <StopButton work={work} />
        </div>
      </form>
      <Problem work={work} />
      <ol aria-label="Classes">
        {scores.map(({ sequence, labels: names, scores: values }, i) => (
          <li key={i}>
            <p>{sequence}</p>
            {names.map((name, j) => (
              <div key={name} class="row">
                <meter value={values[j]} aria-label={name} /> {name}: {(100 * (values[j] as number)).toFixed(1)} %
              </div>
            ))}
          </li>
        ))}
      </ol>
    </>
  );
}
