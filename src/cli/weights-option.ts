import { Option } from 'commander';
import { CACHE_TYPES } from '../ops/kv-cache.js';

/** Of commands that load pretrained models. */
export const weightsOption = () =>
  new Option(
    '--weights <format>',
    'what matrices of a pretrained model are packed as (default: auto of a GGUF file)',
  ).choices([...['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto']]);

/** Of commands that let pretrained models write. */
export const cacheOption = (byDefault = "'float32'") =>
  new Option('--cache <type>', `what keys and values are kept as meanwhile (default: ${byDefault})`).choices(
    CACHE_TYPES,
  );
