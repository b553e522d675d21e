import { useId, useState } from 'preact/hooks';
import { droppedFiles, type Given, pickedFiles, withoutFolder } from '../../explorer/src/parts/bring/read-model.js';
import type { Origin } from './engine.js';
import type { UsedModel } from './use-model.js';

/** The one GGUF file, or the files of a folder by their paths in it. */
function originOf(given: readonly Given[]): Origin | null {
  if (given.length === 0) return null;
  const { files } = withoutFolder(given);
  const [only] = files.values();
  return files.size === 1 && only?.name.endsWith('.gguf') ? only : files;
}

interface Props {
  readonly model: UsedModel<{ dispose(): unknown }>;
  /** Ids of the hub that suit the tab. The first is filled in. */
  readonly suggestions: readonly string[];
}

/** Chooses a model: an id of the hub, an address, or files, which may also be dropped here. */
export function ModelBar({ model, suggestions }: Props) {
  const [id, setId] = useState(suggestions[0] ?? '');
  const list = useId();
  const field = useId();
  const { state, open, cancel } = model;
  const bring = (given: readonly Given[]) => {
    const origin = originOf(given);
    if (origin !== null) open(origin);
  };
  return (
    <form
      class="bar"
      onSubmit={(event) => {
        event.preventDefault();
        if (id.trim() !== '') open(id.trim());
      }}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => {
        event.preventDefault();
        if (event.dataTransfer) void droppedFiles(event.dataTransfer).then(bring);
      }}
    >
      <label for={field}>Model</label>
      <input
        id={field}
        list={list}
        value={id}
        spellcheck={false}
        onInput={(event) => setId(event.currentTarget.value)}
      />
      <datalist id={list}>
        {suggestions.map((each) => (
          <option key={each} value={each} />
        ))}
      </datalist>
      {state.kind === 'loading' ? (
        <button type="button" onClick={cancel}>
          Cancel
        </button>
      ) : (
        <button type="submit">Load</button>
      )}
      <label class="button">
        or choose files
        <input
          type="file"
          multiple
          class="hidden"
          onChange={(event) => {
            bring(pickedFiles(event.currentTarget));
            event.currentTarget.value = '';
          }}
        />
      </label>
      <p role="status" class={state.kind === 'failed' ? 'news wrong' : 'news'}>
        {state.kind === 'none' &&
          'No model is loaded. A GGUF file or the files of a Hugging Face folder can be dropped here.'}
        {state.kind === 'loading' && `Loading ${state.name}: ${Math.round(100 * state.share)} %`}
        {state.kind === 'ready' && `${state.name} is loaded.`}
        {state.kind === 'failed' && state.message}
      </p>
    </form>
  );
}
