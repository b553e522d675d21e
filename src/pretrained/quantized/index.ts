// Folders whose weights other libraries have quantized: config.json says how. Their weights become float32, or one of our packed formats.

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
  'compressed-tensors': readCompressedTensors,
  fp8: readFp8,
  fbgemm_fp8: readFp8,
  bitsandbytes: readBitsAndBytes,
  mxfp4: readMxfp4,
};

/** Returns the weights with quantized ones replaced by their values. Throws FormatError for unknown methods. */
export async function dequantizing(weights: Weights, config: Json): Promise<Weights> {
  const { quant_method: method = 'bits' in config ? 'gptq' : undefined } = config;
  const read = typeof method === 'string' && Object.hasOwn(METHODS, method) ? METHODS[method] : undefined;
  if (read === undefined) {
    const known = Object.keys(METHODS).join(', ');
    throw new FormatError(
      `config.json: quant_method is ${describeValue(method)}, which is not read, expected ${known}`,
    );
  }
  const tensors = new QuantizedTensors(weights.tensors);
  await read(tensors, config);
  return { ...weights, tensors: tensors.all, unneeded: tensors.unneeded };
}
