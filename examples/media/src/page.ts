// Shared by the pages: the form that loads a model, and the line that tells the state.

import { createDevice } from 'simdformer';
import { type Pipeline, pipeline, type TaskName } from 'simdformer/tasks';

/** Returns the element with an id. */
export const element = <T extends HTMLElement>(id: string): T => document.querySelector<T>(`#${id}`) as T;

/** Shows a state, or an error. */
export function tell(state: unknown): void {
  const line = element('state');
  line.textContent = state instanceof Error ? state.message : String(state);
  line.toggleAttribute('data-wrong', state instanceof Error);
}

/** Runs `work` and shows its error. */
export function attempt(work: () => Promise<void>): void {
  work().catch((error: unknown) => tell(error));
}

/** Calls `use` with the pipeline of each model that the form loads: an id of the hub, or a folder. */
export function onModel<Name extends TaskName>(task: Name, use: (run: Pipeline<Name>) => void): void {
  const device = createDevice({ backend: 'wasm', worker: true }); // a worker, so that the page stays responsive
  let current: Pipeline<Name> | null = null;
  element<HTMLFormElement>('model').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(async () => {
      const data = new FormData(event.target as HTMLFormElement);
      const files = (data.getAll('folder') as File[]).filter(({ size }) => size > 0);
      const model = files.length > 0 ? new Map(files.map((file) => [file.name, file])) : String(data.get('id'));
      tell('Loading …');
      const loaded = await pipeline(task, model, {
        device: await device,
        onProgress: ({ file, loaded: bytes, total }) => tell(`Loading ${file}: ${Math.round((100 * bytes) / total)} %`),
      });
      await current?.dispose();
      current = loaded;
      tell('The model is loaded.');
      use(loaded);
    });
  });
}
