import { Option } from 'commander';

/** Of commands that load pretrained models. */
export const weightsOption = () =>
  new Option(
    '--weights <format>',
    'what matrices of a pretrained model are packed as (default: auto of a GGUF file)',
  ).choices([...['float32', 'float16', 'bfloat16', 'int8', 'int4', 'auto']]);
