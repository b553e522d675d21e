// Reads weights that other libraries have quantized, by the method in config.json. They become float32, or one of our
// packed formats.

import { describeValue } from '../../core/check.js';
import type { Json } from '../../models/model-config.js';
import type { Weights } from '../../models/weight-entry.js';
import { readAwq } from './awq.js';
import { readBitsAndBytes } from './bitsandbytes.js';
import { readCompressedTensors } from './compressed-tensors.js';
import { readGptq } from './gptq.js';
import { readMxfp4 } from './mxfp4.js';
import { readFp8 } from './scaled.js';
import { notRead, QuantizedTensors } from './tensors.js';

type Reader = (tensors: QuantizedTensors, config: Json) => void | Promise<void>;

const METHODS: Readonly<Record<string, Reader>> = {
  gptq: readGptq,
  awq: readAwq,
  'auto-round': readAutoRound,
  'compressed-tensors': readCompressedTensors,
  fp8: readFp8,
  fbgemm_fp8: readFp8,
  mxfp8: readFp8,
  bitsandbytes: readBitsAndBytes,
  mxfp4: readMxfp4,
};

/** Readers for AutoRound by `packing_format`. Its own layout is GPTQ's with zero points as they are. */
const AUTO_ROUND: Readonly<Record<string, Reader>> = {
  auto: readGptq,
  'auto_round:gptq': readGptq,
  'auto_round:auto_gptq': readGptq,
  auto_round: (tensors, config) => readGptq(tensors, { ...config, checkpoint_format: 'gptq_v2' }),
  'auto_round:gptqmodel': (tensors, config) => readGptq(tensors, { ...config, checkpoint_format: 'gptq_v2' }),
  'auto_round:awq': readAwq,
  'auto_round:auto_awq': readAwq,
  // MXFP4, MXFP8, NVFP4 and float8, whose tensors tell their types.
  'auto_round:llm_compressor': (tensors) => readCompressedTensors(tensors, {}),
  'auto_round:fp8_static': (tensors) => readCompressedTensors(tensors, {}),
};

/** AutoRound (Cheng et al. 2023, arXiv 2309.05516), which stores codes like other libraries. */
function readAutoRound(tensors: QuantizedTensors, { format: _, ...config }: Json): void | Promise<void> {
  const { packing_format: packingFormat } = config;
  const read = readerOf(AUTO_ROUND, packingFormat ?? 'auto');
  if (read === undefined) throw notRead(`AutoRound in ${describeValue(packingFormat)}`, Object.keys(AUTO_ROUND));
  return read(tensors, config);
}

/** Returns the reader with this name. */
const readerOf = (readers: Readonly<Record<string, Reader>>, name: unknown) =>
  typeof name === 'string' && Object.hasOwn(readers, name) ? readers[name] : undefined;

/** Returns the method of a description. Older ones do not name it: of bitsandbytes, AutoAWQ and AutoGPTQ. */
function methodOf(config: Json): unknown {
  if (config.quant_method != null) return config.quant_method;
  if (config.load_in_8bit === true || config.load_in_4bit === true) return 'bitsandbytes';
  if ('w_bit' in config) return 'awq';
  return 'bits' in config ? 'gptq' : undefined;
}

/** Returns the weights with quantized ones replaced by their values. Throws FormatError for unknown methods. */
export async function dequantizing(weights: Weights, config: Json): Promise<Weights> {
  const method = methodOf(config);
  const read = readerOf(METHODS, method);
  if (read === undefined) throw notRead(`config.json: the quant_method ${describeValue(method)}`, Object.keys(METHODS));
  const tensors = new QuantizedTensors(weights.tensors);
  await read(tensors, config);
  tensors.checkLeftovers();
  return { ...weights, tensors: tensors.all, unneeded: tensors.unneeded };
}
