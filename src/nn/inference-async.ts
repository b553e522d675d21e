// A pass in inference mode that gives way to the event loop between its layers.

import type { Device } from '../core/device.js';
import { SLICE_MS, yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { EVALUATION, inModes } from './module.js';

/** The latest pass of each device. Passes follow each other, so that memory holds the activations of one. */
const passes = new WeakMap<Device, Promise<unknown>>();

/**
 * Same as `inference`, for work that pauses after its layers. Tensors of the result belong to no scope. Work without a
 * pause runs in one piece.
 */
export async function inferenceAsync<T>(
  model: { readonly device: Device },
  work: () => Iterator<unknown, T>,
): Promise<T> {
  const before = passes.get(model.device);
  const pass = (async () => {
    await before;
    return slices(model, work);
  })();
  passes.set(
    model.device,
    pass.catch(() => {}),
  );
  return pass;
}

async function slices<T>(model: { readonly device: Device }, work: () => Iterator<unknown, T>): Promise<T> {
  const { device } = model;
  await yieldToEventLoop();
  let parts: Generator<undefined, T> | undefined;
  const slice = () => {
    const start = performance.now();
    parts ??= device.scopeInParts(pausing(work));
    for (;;) {
      const step = parts.next();
      if (step.done || performance.now() - start > SLICE_MS) return step;
    }
  };
  const quiet = () => device.noGrad(slice);
  for (;;) {
    const { done, value } = inModes(EVALUATION, quiet);
    if (done) return value;
    await yieldToEventLoop();
  }
}

/** Begins the work inside the scope. */
function* pausing<T>(work: () => Iterator<unknown, T>): Generator<unknown, T> {
  const parts = work();
  for (;;) {
    const { done, value } = parts.next();
    if (done) return value;
    yield;
  }
}
