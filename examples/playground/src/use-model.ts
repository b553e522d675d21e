import { useEffect, useRef, useState } from 'preact/hooks';
import type { Origin, Report } from './engine.js';

export type ModelState<T> =
  | { readonly kind: 'none' }
  | { readonly kind: 'loading'; readonly name: string; readonly share: number }
  | { readonly kind: 'ready'; readonly name: string; readonly value: T }
  | { readonly kind: 'failed'; readonly message: string };

export interface UsedModel<T> {
  readonly state: ModelState<T>;
  open(origin: Origin): void;
  cancel(): void;
}

/** Anything that has memory of the engine. */
interface Disposable {
  dispose(): unknown;
}

/** Names a model for people: by its id, its only file, or the number of its files. */
function nameOf(origin: Origin): string {
  if (typeof origin === 'string') return origin;
  if (origin instanceof File) return origin.name;
  if (origin instanceof Blob) return 'your file';
  const [first = 'your file'] = origin.keys();
  return origin.size > 1 ? `the model in ${origin.size} files` : first;
}

/**
 * The model of a tab. A new one replaces the one before, whose memory is freed; so is the last one when the tab closes.
 * `load` may be stopped by its signal.
 */
export function useModel<T extends Disposable>(
  load: (origin: Origin, report: Report, stop: AbortSignal) => Promise<T>,
): UsedModel<T> {
  const [state, setState] = useState<ModelState<T>>({ kind: 'none' });
  const current = useRef<T | null>(null);
  const loading = useRef<AbortController | null>(null);
  const free = () => {
    loading.current?.abort();
    void current.current?.dispose();
    current.current = null;
  };
  useEffect(() => free, []);
  return {
    state,
    cancel: () => loading.current?.abort(),
    async open(origin) {
      free();
      const controller = new AbortController();
      loading.current = controller;
      const name = nameOf(origin);
      const isCurrent = () => loading.current === controller && !controller.signal.aborted;
      setState({ kind: 'loading', name, share: 0 });
      try {
        const report = (share: number) => isCurrent() && setState({ kind: 'loading', name, share });
        const value = await load(origin, report, controller.signal);
        if (!isCurrent()) return void value.dispose();
        current.current = value;
        setState({ kind: 'ready', name, value });
      } catch (error) {
        if (loading.current !== controller) return;
        setState(controller.signal.aborted ? { kind: 'none' } : { kind: 'failed', message: (error as Error).message });
      }
    },
  };
}
