import { useState } from 'preact/hooks';
import { dot } from 'simdformer/tasks';
import { type Origin, openTask, type Report } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { FileButton, Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = ['sentence-transformers/all-MiniLM-L6-v2', 'Xenova/bge-small-en-v1.5', 'intfloat/e5-small-v2'];

/** Characters of a passage at most. */
const PASSAGE = 600;
const SHOWN = 10;
/** Passages that are embedded at a time, between which the page shows the progress. */
const STRIDE = 32;

interface Passage {
  readonly file: string;
  readonly text: string;
  readonly vector: Float32Array;
}

/** The paragraphs of a text, joined to passages as long as they fit. */
function passagesOf(text: string): string[] {
  const passages: string[] = [];
  for (const paragraph of text.split(/\n\s*\n/).map((each) => each.trim())) {
    const last = passages.length - 1;
    const joined = `${passages[last] ?? ''}\n\n${paragraph}`;
    if (last >= 0 && joined.length <= PASSAGE) passages[last] = joined;
    else for (let i = 0; i < paragraph.length; i += PASSAGE) passages.push(paragraph.slice(i, i + PASSAGE));
  }
  return passages;
}

const load = (origin: Origin, report: Report, stop: AbortSignal) =>
  openTask('feature-extraction', origin, report, stop);

/** Finds passages of a person's own files by their meaning. */
export function SearchTab() {
  const model = useModel(load);
  const work = useWork();
  const [passages, setPassages] = useState<readonly Passage[]>([]);
  const [progress, setProgress] = useState('No files yet.');
  const [query, setQuery] = useState('');
  const [found, setFound] = useState<readonly (Passage & { readonly score: number })[]>([]);
  const ready = model.state.kind === 'ready' ? model.state.value : null;

  const add = (files: readonly File[]) =>
    work.run(async (stop) => {
      if (ready === null) throw new Error('Load a model first.');
      const texts: { file: string; text: string }[] = [];
      for (const file of files) for (const text of passagesOf(await file.text())) texts.push({ file: file.name, text });
      const added: Passage[] = [];
      for (let i = 0; i < texts.length; i += STRIDE) {
        setProgress(`Reading: ${i} of ${texts.length} passages`);
        const some = texts.slice(i, i + STRIDE);
        const vectors = await ready.model.encodeDocument(
          some.map(({ text }) => text),
          { normalize: true, signal: stop },
        );
        added.push(...some.map((each, j) => ({ ...each, vector: vectors[j] as Float32Array })));
      }
      const all = [...passages, ...added];
      setPassages(all);
      setProgress(`${all.length} passages of ${new Set(all.map(({ file }) => file)).size} files.`);
    });

  const search = () =>
    work.run(async (stop) => {
      if (ready === null) throw new Error('Load a model first.');
      const vector = await ready.model.encodeQuery(query, { normalize: true, signal: stop });
      const scored = passages.map((each) => ({ ...each, score: dot(vector, each.vector) }));
      setFound(scored.sort((a, b) => b.score - a.score).slice(0, SHOWN));
    });

  return (
    <>
      <ModelBar model={model} suggestions={SUGGESTIONS} />
      <div class="row">
        <FileButton
          label="Add text files"
          accept=".txt,.md,.csv,.json,.html,text/*"
          multiple
          onFiles={(files) => void add(files)}
        />
        <StopButton work={work} />
        <p role="status">{progress}</p>
      </div>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          void search();
        }}
      >
        <label class="grow">
          <span>Question</span>
          <input value={query} onInput={(event) => setQuery(event.currentTarget.value)} />
        </label>
        <button type="submit" class="main" disabled={work.isBusy || passages.length === 0 || query.trim() === ''}>
          Search
        </button>
      </form>
      <Problem work={work} />
      <ol aria-label="Found passages">
        {found.map(({ file, text, score }, i) => (
          <li key={i}>
            <strong>{file}</strong> {score.toFixed(3)}
            <p>{text}</p>
          </li>
        ))}
      </ol>
    </>
  );
}
