// The encoders of bench/harness/encoders.ts, and BERT, as ONNX graphs with the same weights.

import type { Tensor } from '../../src/index.js';
import type { Bert } from '../../src/models/families/bert.js';
import type { FeedForward, MultiHeadAttention, Norm, Projection, Stack } from '../../src/nn/index.js';
import type { EncoderSizes } from '../harness/encoders.js';
import { type Initializer, type Node, serializeOnnx } from './onnx.js';

const MICROSOFT = 'com.microsoft';
const INT32 = 6;

/** Collects the nodes of a graph. It uses the operators into which ONNX Runtime's own tools fuse graphs. */
class Nodes {
  readonly nodes: Node[] = [];
  readonly initializers: Initializer[] = [];

  constant(name: string, tensor: Tensor): string {
    this.initializers.push({ name, shape: tensor.shape, data: tensor.dataSync() as Float32Array });
    return name;
  }

  node(op: string, outputs: string | string[], inputs: string[], attributes: Node['attributes'] = {}, domain = '') {
    const names = [outputs].flat();
    this.nodes.push({ op, domain, inputs, outputs: names, attributes });
    return names[0] as string;
  }

  fused(op: string, outputs: string | string[], inputs: string[], attributes?: Node['attributes']) {
    return this.node(op, outputs, inputs, attributes, MICROSOFT);
  }

  product(name: string, x: string, { weight }: Projection): string {
    return this.node('MatMul', name, [x, this.constant(`${name}.weight`, weight as Tensor)]);
  }

  /** Scale and shift of a norm. */
  norm(name: string, { weight, bias }: Norm): string[] {
    return [this.constant(`${name}.weight`, weight as Tensor), this.constant(`${name}.bias`, bias as Tensor)];
  }
}

interface Layers {
  readonly heads: number;
  readonly epsilon: number;
  readonly output: string;
  /** Name of the input with the lengths of the sequences, if there is one. */
  readonly lengths?: string;
}

/** Post-norm layers on `x`, [batch, tokens, dModel]. */
function addLayers(graph: Nodes, x: string, encoder: Stack, { heads, epsilon, output, lengths }: Layers): void {
  let input = x;
  encoder.layers.forEach(({ selfAttentions, feedForward, norm1, norm2 }, i) => {
    const [selfAttn] = selfAttentions as [MultiHeadAttention];
    const { linear1, linear2 } = feedForward as FeedForward;
    const at = (name: string) => `layer${i}.${name}`;
    const qkv = [
      graph.constant(at('qkv.weight'), selfAttn.qkv.weight as Tensor),
      graph.constant(at('qkv.bias'), selfAttn.qkv.bias as Tensor),
    ];
    const mixed = graph.fused('Attention', at('attention'), [input, ...qkv, ...(lengths ? [lengths] : [])], {
      num_heads: { int: heads },
    });
    const normed = graph.fused(
      'SkipLayerNormalization',
      at('norm1'),
      [
        graph.product(at('out'), mixed, selfAttn.outProj),
        input,
        ...graph.norm(at('norm1'), norm1),
        graph.constant(at('out.bias'), selfAttn.outProj.bias as Tensor),
      ],
      { epsilon: { float: epsilon } },
    );
    const hidden = graph.fused('BiasGelu', at('hidden'), [
      graph.product(at('linear1'), normed, linear1),
      graph.constant(at('linear1.bias'), linear1.bias as Tensor),
    ]);
    input = graph.fused(
      'SkipLayerNormalization',
      i === encoder.layers.length - 1 ? output : at('norm2'),
      [
        graph.product(at('linear2'), hidden, linear2),
        normed,
        ...graph.norm(at('norm2'), norm2),
        graph.constant(at('linear2.bias'), linear2.bias as Tensor),
      ],
      { epsilon: { float: epsilon } },
    );
  });
}

/**
 * Returns an .onnx file with input `x` and output `y`, float32 [batch, tokens, dModel] of any batch and tokens. It has
 * the operators into which ONNX Runtime's own tool for BERT (`python -m onnxruntime.transformers.optimizer`) fuses a
 * graph, which is its fastest form.
 */
export function encoderOnnx(encoder: Stack, { dModel, heads }: EncoderSizes): Uint8Array {
  const graph = new Nodes();
  addLayers(graph, 'x', encoder, { heads, epsilon: 1e-5, output: 'y' });
  const shape = ['batch', 'tokens', dModel];
  return serializeOnnx({ inputs: [{ name: 'x', shape }], outputs: [{ name: 'y', shape }], ...graph });
}

/**
 * Returns a BERT without a head as an .onnx file, from ids to the last hidden state. Names are those of exported
 * models: int64 [batch, tokens] `input_ids`, `attention_mask` and `token_type_ids`; padding is on the right.
 */
export function bertOnnx({ config, embeddings, encoder }: Bert): Uint8Array {
  const graph = new Nodes();
  const epsilon = config.layer_norm_eps as number;
  const inputs = ['input_ids', 'token_type_ids', 'attention_mask'];
  const [ids, types, mask] = inputs.map((name) => graph.node('Cast', `${name}.int32`, [name], { to: { int: INT32 } }));
  const table = (name: 'tokens' | 'positions' | 'types') =>
    graph.constant(`embeddings.${name}`, (embeddings[name] as { weight: Tensor }).weight);
  const x = graph.fused(
    'EmbedLayerNormalization',
    ['embedded', 'lengths'],
    [
      ids as string,
      types as string,
      table('tokens'),
      table('positions'),
      table('types'),
      ...graph.norm('embeddings.norm', embeddings.norm),
      mask as string,
    ],
    { epsilon: { float: epsilon } },
  );
  const output = 'last_hidden_state';
  addLayers(graph, x, encoder, { heads: config.num_attention_heads as number, epsilon, output, lengths: 'lengths' });
  const shape = ['batch', 'tokens'];
  return serializeOnnx({
    inputs: inputs.map((name) => ({ name, shape, type: 'int64' })),
    outputs: [{ name: output, shape: [...shape, config.hidden_size as number] }],
    ...graph,
  });
}
