// Reads weights that other libraries have quantized, by the method in config.json. They become float32, or one of our
// packed formats.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Json } from '../../models/model-config.js';
import type { Weights } from '../../models/weight-entry.js';
import { readAwq } from './awq.js';
import { readBitsAndBytes } from './bitsandbytes.js';
import { readCompressedTensors } from './compressed-tensors.js';
import { readGptq } from './gptq.js';
import { readMxfp4 } from './mxfp4.js';
import { readFp8 } from './scaled.js';
import { QuantizedTensors } from './tensors.js';

const METHODS: Readonly<Record<string, (tensors: QuantizedTensors, config: Json) => void | Promise<void>>> = {
  gptq: readGptq,
  awq: readAwq,
  'auto-round': readAutoRound,
  'compressed-tensors': readCompressedTensors,
  fp8: readFp8,
  fbgemm_fp8: readFp8,
  bitsandbytes: readBitsAndBytes,
  mxfp4: readMxfp4,
};

/**
 * AutoRound (Cheng et al. 2023, arXiv 2309.05516), which stores codes like GPTQ or AWQ. Its own layout is GPTQ's with
 * zero points as they are.
 */
function readAutoRound(tensors: QuantizedTensors, { format: _, ...config }: Json): Promise<void> {
  const { packing_format: packing = 'auto_round:auto_gptq' } = config;
  if (packing === 'auto_round:auto_awq') return readAwq(tensors, { ...config, version: 'gemm' });
  const isKnown = packing === 'auto_round' || packing === 'auto_round:auto_gptq';
  if (isKnown)
    return readGptq(tensors, { ...config, checkpoint_format: packing === 'auto_round' ? 'gptq_v2' : 'gptq' });
  throw new FormatError(
    `AutoRound in ${describeValue(packing)} is not read, expected auto_round, auto_round:auto_gptq or auto_round:auto_awq`,
  );
}

/** Returns the weights with quantized ones replaced by their values. Throws FormatError for unknown methods. */
export async function dequantizing(weights: Weights, config: Json): Promise<Weights> {
  const { quant_method: method = 'bits' in config ? 'gptq' : undefined } = config;
  const read = typeof method === 'string' && Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (read === undefined) {
    const known = Object.keys(METHODS).join(', ');
    throw new FormatError(
      `config.json: quant_method is ${describeValue(method)}, which is not read, expected ${known}. In Python, ` +
        'model.dequantize() and save_pretrained() make a folder that can be read',
    );
  }
  const tensors = new QuantizedTensors(weights.tensors);
  await read(tensors, config);
  return { ...weights, tensors: tensors.all, unneeded: tensors.unneeded };
}
