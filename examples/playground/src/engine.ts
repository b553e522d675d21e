// The engine of the page, and how models get into it. The engine computes in a worker, so the page stays responsive.
import { signal } from '@preact/signals';
import { createDevice, type Device } from 'simdformer';
import { type Pipeline, pipeline, type TaskName } from 'simdformer/tasks';

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
  opening ??= createDevice({ backend: 'wasm', worker: true });
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

/** Loads a model for a task. `report` is told of the progress, from 0 to 1. Rejects with errors that name the cause. */
export async function openTask<Name extends TaskName>(
  task: Name,
  origin: Origin,
  report: (share: number) => void,
  stop: AbortSignal,
): Promise<Pipeline<Name>> {
  const opened = await pipeline(task, origin, {
    device: await device(),
    signal: stop,
    onProgress: ({ loaded, total }) => report(total ? loaded / total : 0),
    onWarning: () => {},
  });
  await measure();
  return opened;
}
