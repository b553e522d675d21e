// The encoders of bench/harness/encoders.ts as ONNX graphs with the same weights.

import type { Tensor } from '../../src/index.js';
import type { Linear, Stack } from '../../src/nn/index.js';
import type { EncoderSizes } from '../harness/encoders.js';
import { type Initializer, type Node, serializeOnnx } from './onnx.js';

const MICROSOFT = 'com.microsoft';

/**
 * A .onnx file: input `x` and output `y`, float32 [batch, tokens, dModel] of any batch and tokens. It has the operators into
 * which ONNX Runtime's own tool for BERT (`python -m onnxruntime.transformers.optimizer`) fuses a graph: its fastest form.
 */
export function encoderOnnx(encoder: Stack, { dModel, heads }: EncoderSizes): Uint8Array {
  const nodes: Node[] = [];
  const initializers: Initializer[] = [];
  const constant = (name: string, tensor: Tensor): string => {
    initializers.push({ name, shape: tensor.shape, data: tensor.dataSync() as Float32Array });
    return name;
  };
  const node = (
    op: string,
    output: string,
    inputs: string[],
    attributes: Node['attributes'] = {},
    domain = MICROSOFT,
  ) => {
    nodes.push({ op, domain, inputs, outputs: [output], attributes });
    return output;
  };
  const product = (name: string, x: string, { weight }: Linear) =>
    node('MatMul', name, [x, constant(`${name}.weight`, weight)], {}, '');

  const epsilon = { epsilon: { float: 1e-5 } };
  let x = 'x';
  encoder.layers.forEach(({ selfAttn, feedForward: { linear1, linear2 }, norm1, norm2 }, i) => {
    const at = (name: string) => `layer${i}.${name}`;
    const mixed = node(
      'Attention',
      at('attention'),
      [x, constant(at('qkv.weight'), selfAttn.qkv.weight), constant(at('qkv.bias'), selfAttn.qkv.bias as Tensor)],
      { num_heads: { int: heads } },
    );
    const normed = node(
      'SkipLayerNormalization',
      at('norm1'),
      [
        product(at('out'), mixed, selfAttn.outProj),
        x,
        constant(at('norm1.weight'), norm1.weight as Tensor),
        constant(at('norm1.bias'), norm1.bias as Tensor),
        constant(at('out.bias'), selfAttn.outProj.bias as Tensor),
      ],
      epsilon,
    );
    const hidden = node('BiasGelu', at('hidden'), [
      product(at('linear1'), normed, linear1),
      constant(at('linear1.bias'), linear1.bias as Tensor),
    ]);
    x = node(
      'SkipLayerNormalization',
      i === encoder.layers.length - 1 ? 'y' : at('norm2'),
      [
        product(at('linear2'), hidden, linear2),
        normed,
        constant(at('norm2.weight'), norm2.weight as Tensor),
        constant(at('norm2.bias'), norm2.bias as Tensor),
        constant(at('linear2.bias'), linear2.bias as Tensor),
      ],
      epsilon,
    );
  });
  const shape = ['batch', 'tokens', dModel];
  return serializeOnnx({ inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape }], nodes, initializers });
}
