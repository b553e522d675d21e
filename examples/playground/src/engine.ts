// The engine of the page, and how models get into it. The engine computes in a worker, so the page stays responsive.
import { signal } from '@preact/signals';
import { createDevice, type Device } from 'simdformer';
import { type LoadModelOptions, loadTextModel, type TextModel } from 'simdformer/pretrained';
import { type Pipeline, pipeline, type TaskName } from 'simdformer/tasks';
import { startKeeping } from './offline.js';

/** A model: an id of the hub, an address, or files by name. */
export type Origin = string | ReadonlyMap<string, File> | Blob;

/** Numbers that the foot of the page shows. */
export const figures = signal<{ readonly kernels: string; readonly memory: number; readonly rate: number | null }>({
  kernels: 'not started',
  memory: 0,
  rate: null,
});

let opening: Promise<Device> | null = null;

/** The page's one device, opened when the first model needs it. */
export async function device(): Promise<Device> {
  opening ??= startKeeping().then(() => createDevice({ backend: 'wasm', worker: true }));
  try {
    return await opening;
  } catch (error) {
    opening = null;
    throw error;
  }
}

/** Shows the engine's memory, and the tokens of a second if they were measured. */
export async function measure(rate = figures.value.rate): Promise<void> {
  const engine = await device();
  const { info } = engine;
  const { used } = engine.memory();
  figures.value = { kernels: `${info.isa}, threads: ${info.threads}`, memory: used, rate };
}

/** Called with the progress of a download, from 0 to 1. */
export type Report = (share: number) => void;

/** The location of a model for the package, and the options of its loading. */
function loading(origin: Origin, report: Report, signal: AbortSignal) {
  return {
    from: typeof origin === 'string' && /^https?:/.test(origin) ? new URL(origin) : origin,
    options: {
      signal,
      onProgress: ({ loaded, total }: { loaded: number; total: number }) => report(total ? loaded / total : 0),
      onWarning: () => {},
    },
  };
}

/** Loads a model for a task. Rejects with errors that name the cause. */
export async function openTask<Name extends TaskName>(
  task: Name,
  origin: Origin,
  report: Report,
  stop: AbortSignal,
): Promise<Pipeline<Name>> {
  const { from, options } = loading(origin, report, stop);
  const opened = await pipeline(task, from, { ...options, device: await device() });
  await measure();
  return opened;
}

/** Loads a language model. `weights`: as in `loadModel`. Rejects as `openTask`. */
export async function openModel(
  origin: Origin,
  report: Report,
  stop: AbortSignal,
  weights?: LoadModelOptions['weights'],
): Promise<TextModel> {
  const { from, options } = loading(origin, report, stop);
  const model = await loadTextModel(await device(), from, { ...options, weights });
  await measure();
  return model;
}
