/** The names of tensors that only quantized weights have. */
export const QUANTIZED_PART =
  /\.(qweight|weight_packed|weight_scale|weight_scale_inv|SCB|quant_state\.bitsandbytes__\w+)$/;
