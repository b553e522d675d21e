import { useEffect, useRef, useState } from 'preact/hooks';
import type { Lora } from 'simdformer/finetune';
import { saveFiles } from '../../../explorer/src/save-files.js';
import { people } from '../../../finetune/src/examples.js';
import { answersOf, teach } from '../../../finetune/src/teach.js';
import { measure, openModel } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = ['HuggingFaceTB/SmolLM2-135M', 'unsloth/gemma-3-270m'];

/** Pairs of a line: what is asked, an arrow, and the answer. */
function examplesOf(text: string) {
  return text.split('\n').flatMap((line) => {
    const [prompt, answer] = line.split(/\s*(?:→|=>|\t)\s*/, 2).map((each) => each.trim());
    return prompt && answer ? [{ prompt, answer }] : [];
  });
}

/** Teaches a language model a person's examples by an adapter, which can be downloaded. */
export function TeachTab() {
  const model = useModel(openModel);
  const work = useWork();
  const adapter = useRef<Lora | null>(null);
  const [text, setText] = useState(() =>
    people(40, 7)
      .map(({ prompt, answer }) => `${prompt} → ${answer}`)
      .join('\n'),
  );
  const [news, setNews] = useState('');
  const [question, setQuestion] = useState('In Lima we met Ada Costa, aged 31.');
  const [hasAdapter, setHasAdapter] = useState(false);
  const ready = model.state.kind === 'ready' ? model.state.value : null;
  const examples = examplesOf(text);
  // An adapter belongs to one model.
  useEffect(() => {
    adapter.current = null;
    setHasAdapter(false);
    setNews('');
  }, [ready]);

  const learn = () =>
    work.run(async (signal) => {
      if (ready === null) throw new Error('Load a model first.');
      setNews('Preparing the examples…');
      adapter.current?.dispose();
      adapter.current = await teach(ready, examples, {
        passes: 3,
        rate: 2e-3,
        signal,
        onStep: ({ step, loss }, steps) => setNews(`Step ${step} of ${steps}, loss ${loss.toFixed(3)}`),
      });
      setHasAdapter(true);
      await measure();
    });
  const ask = () =>
    work.run(async () => {
      if (ready === null) throw new Error('Load a model first.');
      const [answer] = await answersOf(ready, [question]);
      setNews(`${question} → ${answer}`);
    });

  return (
    <>
      <ModelBar model={model} suggestions={SUGGESTIONS} />
      <label>
        Examples: what is asked, →, and the answer, one a line{' '}
        <textarea rows={8} value={text} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <div class="row">
        <button
          type="button"
          class="main"
          disabled={work.isBusy || ready === null || examples.length === 0}
          onClick={learn}
        >
          Learn {examples.length} examples
        </button>
        <StopButton work={work} />
        <button
          type="button"
          disabled={work.isBusy || !hasAdapter}
          onClick={() => void work.run(async () => saveFiles(await (adapter.current as Lora).toFiles()))}
        >
          Download the adapter
        </button>
      </div>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <label class="grow">
          <span>Ask it</span>
          <input value={question} onInput={(event) => setQuestion(event.currentTarget.value)} />
        </label>
        <button type="submit" disabled={work.isBusy || ready === null}>
          Ask
        </button>
      </form>
      <Problem work={work} />
      <output class="text">{news}</output>
    </>
  );
}
