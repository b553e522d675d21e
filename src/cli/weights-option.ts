import { Option } from 'commander';
import { CACHE_TYPES } from '../ops/kv-cache.js';
import { DEFAULT_WEIGHTS } from '../pretrained/packed-options.js';

/** The option of commands that load pretrained models. */
export const weightsOption = () =>
  new Option(
    '--weights <format>',
    `the format of a pretrained model's matrices (default: ${DEFAULT_WEIGHTS.packed} for GGUF files, otherwise ${DEFAULT_WEIGHTS.other})`,
  ).choices(['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto']);

/** The option of commands that generate text with pretrained models. */
export const cacheOption = (byDefault = CACHE_TYPES[0] as string) =>
  new Option('--cache-type <type>', `the format of cached keys and values (default: ${byDefault})`).choices(
    CACHE_TYPES,
  );
