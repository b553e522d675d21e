// A pass in inference mode that gives way to the event loop between its layers.

import type { Device } from '../core/device.js';
import { begun, inSlices, type MaybeInParts } from '../core/slices.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { inferenceInParts } from './module.js';

/** The latest pass of each device. Passes follow each other, so that memory holds the activations of one. */
const passes = new WeakMap<Device, Promise<unknown>>();

/**
 * Same as `inference`, for work that pauses after its layers. Tensors of the result belong to no scope. Work without a
 * pause runs in one piece.
 */
export async function inferenceAsync<T>(model: { readonly device: Device }, work: () => MaybeInParts<T>): Promise<T> {
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

async function slices<T>(model: { readonly device: Device }, work: () => MaybeInParts<T>): Promise<T> {
  await yieldToEventLoop();
  return inSlices(inferenceInParts(model, begun(work)));
}
