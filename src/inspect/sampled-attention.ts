import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { inference, type Module } from '../nn/module.js';

/** Positions that the queries of one layer of deformable attention sample, and their weights. */
export interface SampledAttention {
  /** float32 [B, heads, queries, samples, 2]: x and y as shares of the image's width and height. */
  readonly positions: Tensor;
  /** float32 [B, heads, queries, samples]. The weights of a head and query add up to 1. */
  readonly weights: Tensor;
}

/** A module whose samples can be observed. */
export interface Sampler {
  /** Receives the samples of each forward pass. Null: nobody observes them. */
  observeSamples: ((samples: SampledAttention) => void) | null;
}

/**
 * Returns the samples of each layer with deformable attention (Zhu et al. 2020, arXiv 2010.04159), from the first layer
 * to the last. Deformable attention samples a few positions for each query, so it has no map over all patches. Models
 * are RT-DETR and RF-DETR; others give an empty list. `pixelValues`: images, float32 [B, channels, height, width].
 *
 * The caller disposes of the tensors. Throws ShapeError for pixels of another shape.
 */
export function sampledAttention(
  model: Module & { readonly device: Device; forward(inputs: { pixelValues: Tensor }): unknown },
  pixelValues: Tensor,
): SampledAttention[] {
  const samplers = model.modules().filter(isSampler);
  const layers: SampledAttention[] = [];
  const observe = (samples: SampledAttention) => {
    for (const tensor of [samples.positions, samples.weights]) model.device.keep(tensor);
    layers.push(samples);
  };
  for (const sampler of samplers) sampler.observeSamples = observe;
  try {
    inference(model, () => void model.forward({ pixelValues }));
    return layers;
  } finally {
    for (const sampler of samplers) sampler.observeSamples = null;
  }
}

function isSampler(module: Module): module is Module & Sampler {
  return 'observeSamples' in module;
}
