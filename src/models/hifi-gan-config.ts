import type { HifiGanOptions } from '../nn/hifi-gan.js';
import type { ModelConfig } from './model-config.js';

/** Settings of HiFi-GAN that have the same defaults in all families. */
export const HIFI_GAN_DEFAULTS = {
  upsample_initial_channel: 512,
  resblock_kernel_sizes: [3, 7, 11],
  resblock_dilation_sizes: [
    [1, 3, 5],
    [1, 3, 5],
    [1, 3, 5],
  ],
  leaky_relu_slope: 0.1,
};

/** The options of HiFi-GAN in a config, without those that a family decides. */
export function hifiGanOptions(config: ModelConfig): Omit<HifiGanOptions, 'inputs' | 'outBias'> {
  const numbers = (name: string) => config.list(name) as readonly number[];
  return {
    channels: config.size('upsample_initial_channel'),
    rates: numbers('upsample_rates'),
    kernels: numbers('upsample_kernel_sizes'),
    blockKernels: numbers('resblock_kernel_sizes'),
    blockDilations: config.list('resblock_dilation_sizes') as readonly (readonly number[])[],
    slope: config.number('leaky_relu_slope'),
  };
}
