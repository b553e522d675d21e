// Runs a page's snippets. Each run has a worker of its own, which gives all its memory back at the end.
import { withBase } from 'vitepress';

/** A message of the worker: text that the program printed, or its end. */
type Message = { readonly text: string } | { readonly error: string } | { readonly isDone: true };

let worker: Worker | null = null;

/** Runs a block when its button is clicked. */
export function watchSnippets(): void {
  document.addEventListener('click', ({ target }) => {
    const button = target instanceof Element ? target.closest<HTMLButtonElement>('.snippet > button.run') : null;
    if (button) run(button);
  });
}

function run(button: HTMLButtonElement): void {
  const snippet = button.parentElement as HTMLElement;
  const output = snippet.querySelector('output') as HTMLOutputElement;
  worker?.terminate();
  worker = new Worker(withBase('/run-worker.js'), { type: 'module' });
  output.hidden = false;
  output.textContent = '';
  snippet.dataset.state = 'running';
  const end = (state: string) => {
    snippet.dataset.state = state;
    worker?.terminate();
    worker = null;
  };
  worker.onmessage = ({ data }: MessageEvent<Message>) => {
    if ('text' in data) output.textContent += `${data.text}\n`;
    else if ('error' in data) {
      output.textContent += data.error;
      end('failed');
    } else end('done');
  };
  worker.onerror = ({ message }) => {
    output.textContent += message;
    end('failed');
  };
  worker.postMessage(snippet.dataset.code);
}
