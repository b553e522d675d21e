// Names of values in the graphs of ONNX files: generated ones, and those in a state dict.

import { fromBuilder } from './builder-names.js';

/** Suffixes of quantizers on the name of a matrix. */
export const OF_QUANTIZER = /(_DQ)?(_Q\d|_Bnb4|_quantized)?(_output|_DequantizeLinear_Output)?$/;

/** True for a name that an exporter generated. Newer exporters use the name of the operation. */
export const isGeneratedName = (name: string) =>
  /^(onnx::|\/|val_\d|\d|Attention_\d|RelPosBias_|(add|clone|div|embedding|expand|mul|permute|select|slice|sub|t|transpose|unsqueeze|view)(_\d+)?$)/.test(
    name.replace(OF_QUANTIZER, ''),
  );

/**
 * Returns the name in a state dict: removes what merging of decoders and transposing add to it. `isBuilt`: true for a
 * graph of the model builder, whose additions are removed, too.
 */
export function stateName(initializerName: string, isBuilt: boolean): string {
  const name = initializerName.replace(/(_merged_\d+|_transposed)$/i, '');
  return isBuilt ? fromBuilder(name) : name;
}
