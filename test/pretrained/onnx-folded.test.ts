// Weights that exporters compute ahead. Each graph has the nodes of an export by optimum 2.3.0, or of ONNX Runtime's
// optimizer, for the parameters in question. All others keep their names. Models get the weights of the folder from which
// the graph was made, or compute what its model computes.
import { afterAll, describe, expect, it } from 'vitest';
import { inMemory } from '../../src/io/byte-source.js';
import { readOnnx } from '../../src/io/onnx.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { transpose } from '../../src/nn/stored-layout.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { graphWeights } from '../../src/pretrained/onnx/graph-weights.js';
import { deviceFor, isas } from '../describe-op.js';
import { node, ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';
import { variants, weightsFile } from './variant.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

interface Value {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** A graph in the making. `take` removes a parameter from those that keep their names. */
class Graph {
  readonly #initializers: number[][] = [];
  readonly #nodes: number[][] = [];
  #count = 0;

  constructor(readonly parameters: Map<string, Value>) {}

  take(name: string): Value {
    const value = this.parameters.get(name);
    expect(value, name).toBeDefined();
    this.parameters.delete(name);
    return value as Value;
  }

  /** The names of parameters, which are taken while the graph grows. */
  names(pattern: RegExp): string[] {
    return [...this.parameters.keys()].filter((name) => pattern.test(name));
  }

  /** Adds a constant whose name means nothing. Returns the name. */
  constant(op: string, { shape, values }: Value): string {
    const name = `onnx::${op}_${++this.#count}`;
    this.#initializers.push(tensor(name, shape, ONNX_TYPES.float, new Uint8Array(values.slice().buffer)));
    return name;
  }

  node(name: string, op: string, inputs: readonly string[], output = `${name}_output_0`): string {
    this.#nodes.push(node({ name, op, inputs, output }));
    return output;
  }

  /** A node with constants, by the path of its module. `place`: the number in its name. */
  read(path: string, op: string, ...constants: Value[]): string {
    return this.node(`/${path}/${op}`, op, ['x', ...constants.map((each) => this.constant(op, each))]);
  }

  /** A node of torch.onnx.export with dynamo=True, whose metadata have the path of its module. */
  dynamo(path: string, op: string, constant: string, value: Value): void {
    const name = `${constant}_${++this.#count}`;
    this.#initializers.push(tensor(name, value.shape, ONNX_TYPES.float, new Uint8Array(value.values.slice().buffer)));
    const operation = op === 'MatMul' ? 'linear' : op.toLowerCase();
    const outer = path.split('.').slice(0, -1).join('.');
    const metadata = {
      'pkg.torch.onnx.stack_trace': 'File "model.py", line 1',
      'pkg.torch.onnx.name_scopes': `['', '${outer}', '${path}', '${operation}_${this.#count}']`,
    };
    const inputs = op === 'Mul' ? [name, 'x'] : ['x', name];
    this.#nodes.push(node({ name: `node_${operation}_${this.#count}`, op, inputs, output: operation, metadata }));
  }

  readAt(place: number, path: string, op: string, constant: Value): void {
    const name = `/${path}/${op}${place === 0 ? '' : `_${place}`}`;
    this.node(name, op, ['x', this.constant(op, constant)]);
  }

  file(): Uint8Array {
    const named = [...this.parameters].map(([name, { shape, values }]) =>
      tensor(name, shape, ONNX_TYPES.float, new Uint8Array(values.slice().buffer)),
    );
    return onnxModel([...this.#initializers, ...named], this.#nodes);
  }
}

const changed = ({ shape, values }: Value, change: (value: number, i: number) => number): Value => ({
  shape,
  values: values.map(change),
});
const shaped = ({ values }: Value, shape: readonly number[]): Value => ({ shape, values });
/** The path of a module as nodes have it: /a/b.0/c. */
const scope = (path: string) => path.replace(/\.(?!\d)/g, '/');

/** The scale and the shift of a batch norm, which is taken. */
function batchNorm(graph: Graph, path: string): { scale: Float32Array; shift: Float32Array } {
  const [weight, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map(
    (name) => graph.take(`${path}.${name}`).values,
  ) as [Float32Array, Float32Array, Float32Array, Float32Array];
  if (graph.parameters.has(`${path}.num_batches_tracked`)) graph.take(`${path}.num_batches_tracked`);
  const scale = weight.map((value, i) => value / Math.sqrt(variance[i]! + 1e-5));
  return { scale, shift: bias.map((value, i) => value - mean[i]! * scale[i]!) };
}

/** A convolution with the batch norm behind it. */
function folded(graph: Graph, path: string, norm: string, nodePath = scope(path)): void {
  const { scale, shift } = batchNorm(graph, norm);
  const weight = graph.take(`${path}.weight`);
  const size = weight.values.length / scale.length;
  const bias = graph.parameters.has(`${path}.bias`) ? graph.take(`${path}.bias`).values : null;
  graph.read(
    nodePath,
    'Conv',
    changed(weight, (value, i) => value * scale[Math.floor(i / size)]!),
    { shape: [shift.length], values: shift.map((value, i) => value + (bias ? bias[i]! * scale[i]! : 0)) },
  );
}

const images = (channels: number, height: number, width = height): ModelInputs => ({
  pixelValues: device.tensor(
    Float32Array.from({ length: channels * height * width }, (_, i) => Math.sin(0.37 * i)),
    [1, channels, height, width],
  ),
});

/** Exact: the weights are the same. Inputs: the outputs agree within rounding. */
type Expected = 'exact' | { readonly without: RegExp } | (() => ModelInputs);

const cases: readonly [name: string, folder: string, fold: (graph: Graph) => void, expected: Expected][] = [
  [
    'norms that add 1 to their weight',
    'families/gemma',
    (graph) => {
      for (const name of graph.names(/norm\.weight$/)) {
        const raised = changed(graph.take(name), (value) => value + 1);
        graph.node(`/${scope(name.replace(/\.weight$/, ''))}/Mul_1`, 'Mul', ['x', graph.constant('Mul', raised)]);
      }
    },
    () => ({ inputIds: [[1, 5, 9, 2]] }),
  ],
  [
    "norms that add 1 to their weight, as ONNX Runtime's",
    'families/gemma',
    (graph) => {
      for (const [i, name] of graph.names(/norm\.weight$/).entries()) {
        const raised = graph.constant(
          'Mul',
          changed(graph.take(name), (value) => value + 1),
        );
        const output = `/${scope(name.replace(/\.weight$/, ''))}/Mul_1_output_0`;
        if (i === 0) graph.node('LayerNormalization_0', 'SimplifiedLayerNormalization', ['x', raised], output);
        else graph.node(`SkipLayerNorm_${i}`, 'SkipSimplifiedLayerNormalization', ['x', 'y', raised], output);
      }
    },
    () => ({ inputIds: [[1, 5, 9, 2]] }),
  ],
  [
    "the biases of Swin's windows",
    'families/swin',
    (graph) => {
      for (const name of graph.names(/relative_position_bias_table$/)) {
        const { shape, values } = graph.take(name);
        const [places, heads] = shape as [number, number];
        const width = (Math.sqrt(places) + 1) / 2;
        const count = width * width;
        const all = Float32Array.from({ length: heads * count * count }, (_, at) => {
          const [head, i, j] = [Math.floor(at / (count * count)), Math.floor(at / count) % count, at % count];
          const down = Math.floor(i / width) - Math.floor(j / width) + width - 1;
          const across = (i % width) - (j % width) + width - 1;
          return values[(down * (2 * width - 1) + across) * heads + head]!;
        });
        graph.read(scope(name.replace(/\.\w+$/, '')), 'Add', { shape: [1, heads, count, count], values: all });
      }
    },
    'exact',
  ],
  [
    'a batch norm in the convolution before it',
    'families/segformer',
    (graph) => folded(graph, 'decode_head.linear_fuse', 'decode_head.batch_norm'),
    () => images(3, 64),
  ],
  [
    "batch norms beside two convolutions, and DPT's positions",
    'families/dpt-labels',
    (graph) => {
      for (const name of graph.names(/convolution[12]\.weight$/)) {
        const path = name.replace(/\.weight$/, '');
        if (!path.includes('layers.0.residual_layer1')) folded(graph, path, path.replace('convolution', 'batch_norm'));
      }
      const { shape, values } = graph.take('dpt.embeddings.position_embeddings');
      const width = shape[2] as number;
      graph.read('dpt/embeddings', 'Concat', { shape: [1, 1, width], values: values.slice(0, width) });
      const patches = { shape: [shape[1]! - 1, width], values: values.slice(width) };
      graph.read('dpt/embeddings', 'Reshape', patches);
    },
    () => images(3, 8),
  ],
  [
    "positions of CLIP's images, to be resized",
    'families/clip',
    (graph) => {
      const { shape, values } = graph.take('vision_model.embeddings.position_embedding.weight');
      const [tokens, width] = shape as [number, number];
      const side = Math.sqrt(tokens - 1);
      graph.read('vision_model/embeddings', 'Concat', { shape: [1, 1, width], values: values.slice(0, width) });
      const map = transpose(values.slice(width), [tokens - 1, width]);
      graph.read('vision_model/embeddings', 'Resize', { shape: [1, width, side, side], values: map });
    },
    'exact',
  ],
  [
    'batch norms in lists of lists',
    'families/rt_detr',
    (graph) => {
      for (const name of graph.names(/(lateral_convs|downsample_convs)\.\d\.conv\.weight$/)) {
        const path = name.replace(/\.weight$/, '');
        folded(graph, path, path.replace(/conv$/, 'norm'));
      }
      for (const name of graph.names(/input_proj\.\d\.0\.weight$/)) {
        const list = name.replace(/\.0\.weight$/, '');
        folded(graph, `${list}.0`, `${list}.1`, `${scope(list)}/${list.split('.').slice(1).join('.')}.0`);
      }
    },
    () => images(3, 64),
  ],
  [
    'frozen batch norms, and a table with another dimension',
    'families/detr',
    (graph) => {
      for (const name of graph.names(/running_var$/)) {
        const path = name.replace(/\.running_var$/, '');
        const { scale, shift } = batchNorm(graph, path);
        const shape = [1, scale.length, 1, 1];
        graph.read(scope(path), 'Mul', { shape, values: scale });
        graph.read(scope(path), 'Add', { shape, values: shift });
      }
      const table = graph.take('model.query_position_embeddings.weight');
      graph.read('model', 'Expand', shaped(table, [1, ...table.shape]));
    },
    () => images(3, 64),
  ],
  [
    'a group norm, and a vector that only training uses',
    'families/wav2vec2',
    (graph) => {
      const path = 'wav2vec2.feature_extractor.conv_layers.0.layer_norm';
      for (const [name, op] of [
        ['weight', 'Mul'],
        ['bias', 'Add'],
      ] as const) {
        const value = graph.take(`${path}.${name}`);
        graph.read(scope(path), op, shaped(value, [...value.shape, 1]));
      }
      graph.take('wav2vec2.masked_spec_embed');
    },
    { without: /masked_spec_embed/ },
  ],
  [
    'lengths and directions of a convolution',
    'families/wav2vec2',
    (graph) => {
      const path = 'wav2vec2.encoder.pos_conv_embed.conv';
      const [lengths, directions] = [0, 1].map((i) => graph.take(`${path}.parametrizations.weight.original${i}`));
      const [, , taps] = directions!.shape as [number, number, number];
      const norms = new Float64Array(taps);
      for (const [i, value] of directions!.values.entries()) norms[i % taps]! += value * value;
      graph.read(
        scope(path),
        'Conv',
        changed(directions!, (value, i) => (value * lengths!.values[i % taps]!) / Math.sqrt(norms[i % taps]!)),
      );
    },
    () => ({
      inputValues: device.tensor(
        Float32Array.from({ length: 800 }, (_, i) => Math.sin(0.3 * i)),
        [1, 800],
      ),
    }),
  ],
  [
    'the scale of similarities',
    'families/siglip',
    (graph) => {
      const scale = graph.node('/Exp', 'Exp', [graph.constant('Exp', graph.take('logit_scale'))]);
      const product = graph.node('/Mul', 'Mul', ['/MatMul_output_0', scale]);
      graph.node('/Add', 'Add', [product, graph.constant('Add', graph.take('logit_bias'))]);
    },
    'exact',
  ],
  [
    'an inverted flow',
    'families/vits',
    (graph) => {
      const scale = changed(graph.take('duration_predictor.flows.0.log_scale'), (value) => -value);
      graph.node('/duration_predictor/flows.0/Exp', 'Exp', [graph.constant('Exp', scale)]);
      for (const name of graph.names(/^posterior_encoder\.|^duration_predictor\.(post_|flows\.1\.)/)) graph.take(name);
    },
    { without: /^posterior_encoder\.|^duration_predictor\.(post_|flows\.1\.)/ },
  ],
  [
    "ONNX Runtime's Attention",
    'families/bert-token',
    (graph) => {
      for (const name of graph.names(/self\.query\.weight$/)) {
        const path = name.replace(/\.query\.weight$/, '');
        const parts = ['query', 'key', 'value'].map((part) => graph.take(`${path}.${part}.weight`));
        const [rows, columns] = parts[0]!.shape as [number, number];
        const all = Float32Array.from(parts.flatMap(({ values }) => [...values]));
        const weight = { shape: [columns, 3 * rows], values: transpose(all, [3 * rows, columns]) as Float32Array };
        const biases = ['query', 'key', 'value'].flatMap((part) => [...graph.take(`${path}.${part}.bias`).values]);
        const bias = { shape: [3 * rows], values: Float32Array.from(biases) };
        const inputs = ['x', graph.constant('Attention', weight), graph.constant('Attention', bias)];
        graph.node('Attention_0', 'Attention', inputs, `/${scope(path)}/Reshape_3_output_0`);
      }
    },
    'exact',
  ],
  [
    'the prefix of another module in the names of products',
    'families/modernbert-mlm',
    (graph) => {
      for (const name of graph.names(/attn\.W(qkv|o)\.weight$/)) {
        const { shape, values } = graph.take(name);
        const matrix = { shape: [...shape].reverse(), values: transpose(values, shape) as Float32Array };
        graph.read(scope(name.replace(/\.weight$/, '')), 'MatMul', matrix);
      }
    },
    'exact',
  ],
  [
    "the parts of BEiT's tables of biases",
    'families/beit',
    (graph) => {
      for (const name of graph.names(/relative_position_bias_table$/)) {
        const { shape, values } = graph.take(name);
        const [places, heads] = shape as [number, number];
        const width = Math.sqrt(places - 3);
        const map = transpose(values.slice(0, -3 * heads), [places - 3, heads]) as Float32Array;
        const path = scope(name.replace(/\.\w+$/, ''));
        graph.read(path, 'Resize', { shape: [1, heads, width, width], values: map });
        graph.read(path, 'Concat', { shape: [3, heads], values: values.slice(-3 * heads) });
      }
    },
    'exact',
  ],
  [
    "the biases of BEiT's window, as older exporters wrote them",
    'families/beit',
    (graph) => {
      for (const name of graph.names(/relative_position_bias_table$/)) {
        const { shape, values } = graph.take(name);
        const [places, heads] = shape as [number, number];
        const span = Math.sqrt(places - 3);
        const width = (span + 1) / 2;
        const count = width * width + 1;
        // transformers' relative_position_index: the class is the first row and the first column.
        const entry = (i: number, j: number) => {
          if (i === 0 && j === 0) return places - 1;
          if (i === 0) return places - 3;
          if (j === 0) return places - 2;
          const down = Math.floor((i - 1) / width) - Math.floor((j - 1) / width) + width - 1;
          return down * span + ((i - 1) % width) - ((j - 1) % width) + width - 1;
        };
        const all = Float32Array.from({ length: heads * count * count }, (_, at) => {
          const [head, i, j] = [Math.floor(at / (count * count)), Math.floor(at / count) % count, at % count];
          return values[entry(i, j) * heads + head]!;
        });
        graph.read(scope(name.replace(/\.relative_position_bias\.\w+$/, '')), 'Add', {
          shape: [1, heads, count, count],
          values: all,
        });
      }
    },
    'exact',
  ],
  [
    "the biases of DeBERTa's queries and values",
    'families/deberta',
    (graph) => {
      for (const name of graph.names(/self\.q_bias$/)) {
        const [queries, values] = ['q', 'v'].map((kind) => graph.take(name.replace(/q_bias$/, `${kind}_bias`)));
        const path = scope(name.replace(/\.q_bias$/, ''));
        graph.readAt(2, path, 'Add', shaped(values!, [1, 4, 1, values!.values.length / 4])); // a quantizer moves nodes
        graph.readAt(1, path, 'Add', shaped(queries!, [1, 4, 1, queries!.values.length / 4]));
      }
    },
    'exact',
  ],
  [
    "LayoutLMv3's biases of distances, in the order of a quantizer",
    'families/layoutlmv3',
    (graph) => {
      const places = { rel_pos_y_bias: 4, rel_pos_bias: 0, rel_pos_x_bias: 3 };
      for (const [kind, place] of Object.entries(places)) {
        const [name] = graph.names(new RegExp(`\\.${kind}\\.weight$`)) as [string];
        const { shape, values } = graph.take(name);
        const table = { shape: [...shape].reverse(), values: transpose(values, shape) as Float32Array };
        graph.readAt(place, scope(name.replace(`.${kind}.weight`, '')), 'Gather', table);
      }
    },
    'exact',
  ],
  [
    "DINOv2's embeddings of positions, and a vector that only training uses",
    'families/dinov2',
    (graph) => {
      const { shape, values } = graph.take('dinov2.embeddings.position_embeddings');
      const [, count, width] = shape as [number, number, number];
      graph.take('dinov2.embeddings.mask_token');
      graph.read('dinov2/embeddings', 'Concat', { shape: [1, 1, width], values: values.slice(0, width) });
      graph.read('dinov2/embeddings', 'Reshape', { shape: [1, count - 1, width], values: values.slice(width) });
    },
    { without: /mask_token/ },
  ],
  [
    "DINOv2's embeddings of positions, ready to be resized",
    'families/depth_anything',
    (graph) => {
      const { shape, values } = graph.take('backbone.embeddings.position_embeddings');
      const [, count, width] = shape as [number, number, number];
      const side = Math.sqrt(count - 1);
      for (const name of graph.names(/mask_token|fusion_stage\.layers\.0\.residual_layer1/)) graph.take(name);
      graph.read('backbone/embeddings', 'Concat', { shape: [1, 1, width], values: values.slice(0, width) });
      const map = transpose(values.slice(width), [count - 1, width]) as Float32Array;
      graph.read('backbone/embeddings', 'Resize', { shape: [1, width, side, side], values: map });
    },
    { without: /mask_token|fusion_stage\.layers\.0\.residual_layer1/ },
  ],
  ...['llama', 'gemma3'].map((folder): (typeof cases)[number] => [
    'matrices and norms, by the modules in metadata',
    `families/${folder}`,
    (graph) => {
      for (const name of graph.names(/_proj\.weight$/)) {
        const { shape, values } = graph.take(name);
        const [rows, columns] = shape as [number, number];
        const matrix = { shape: [columns, rows], values: transpose(values, [rows, columns]) as Float32Array };
        graph.dynamo(`model.${name.replace(/\.weight$/, '')}`, 'MatMul', 'val', matrix);
      }
      if (folder !== 'gemma3') return;
      for (const name of graph.names(/norm\.weight$/)) {
        const plusOne = changed(graph.take(name), (value) => value + 1);
        graph.dynamo(`model.${name.replace(/\.weight$/, '')}`, 'Mul', 'add', plusOne);
      }
    },
    () => ({ inputIds: [[3, 9, 4, 11, 5]] }),
  ]),
  [
    'modules with the names of transformers 5',
    'families/vit-image',
    (graph) => {
      const newer: Readonly<Record<string, string>> = {
        'attention.attention.query': 'attention.q_proj',
        'attention.attention.key': 'attention.k_proj',
        'attention.attention.value': 'attention.v_proj',
        'attention.output.dense': 'attention.o_proj',
        'intermediate.dense': 'mlp.fc1',
        'output.dense': 'mlp.fc2',
        layernorm_before: 'layernorm_before',
        layernorm_after: 'layernorm_after',
      };
      for (const name of graph.names(/encoder\.layer\./)) {
        const [, layer, path, kind] = /^vit\.encoder\.layer\.(\d+)\.(.*)\.(weight|bias)$/.exec(name)!;
        graph.parameters.set(`vit.layers.${layer}.${newer[path!]}.${kind}`, graph.take(name));
      }
    },
    'exact',
  ],
  [
    "gpt-oss' sinks and biases of experts",
    'families/gpt_oss',
    (graph) => {
      for (const name of graph.names(/sinks$/)) {
        const value = graph.take(name);
        graph.read(scope(name.replace(/\.sinks$/, '')), 'Expand', shaped(value, [1, value.values.length, 1, 1]));
      }
      for (const name of graph.names(/gate_up_proj_bias$/)) {
        const path = scope(name.replace(/\.gate_up_proj_bias$/, ''));
        for (const [place, kind] of ['gate_up_proj_bias', 'down_proj_bias'].entries()) {
          const value = graph.take(name.replace('gate_up_proj_bias', kind));
          graph.readAt(place, path, 'Add', shaped(value, [value.shape[0]!, 1, value.shape[1]!]));
        }
      }
    },
    'exact',
  ],
  [
    "MobileBERT's output, joined with a projection",
    'families/mobilebert',
    (graph) => {
      const { shape, values } = graph.take('cls.predictions.dense.weight');
      const table = graph.parameters.get('mobilebert.embeddings.word_embeddings.weight')!;
      for (const name of graph.names(/^cls\.predictions\.decoder\.weight$/)) graph.take(name);
      const [words, width] = table.shape as [number, number];
      const joined = Float32Array.from([...transpose(table.values, [words, width]), ...values]);
      graph.read('cls/predictions', 'MatMul', { shape: [width + shape[0]!, words], values: joined });
    },
    'exact',
  ],
  [
    "a product with frequencies, which is not a weight of RT-DETR's",
    'families/rt_detr',
    (graph) => {
      graph.read('model/encoder', 'MatMul', { shape: [1, 3], values: Float32Array.of(1, 0.1, 0.01) });
      for (const name of graph.names(/(lateral_convs|downsample_convs)\.\d\.conv\.weight$/)) {
        const path = name.replace(/\.weight$/, '');
        folded(graph, path, path.replace(/conv$/, 'norm'));
      }
    },
    () => images(3, 64),
  ],
];

describe('a graph without the name of', () => {
  it.each(cases)('%s (%s)', async (name, folder, fold, expected) => {
    const data = testData(folder);
    const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
    const floats = [...tensors].filter(([, { dtype }]) => dtype === 'F32');
    const graph = new Graph(
      new Map(floats.map(([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }])),
    );
    const before = graph.parameters.size;
    fold(graph);
    if (!name.includes('names of')) expect(graph.parameters.size).toBeLessThan(before);
    const original = await loadModel(device, data.path, { onWarning() {} });
    const files = { 'config.json': await data.bytes('config.json'), 'onnx/model.onnx': graph.file() };
    const read = await loadModel(device, files, {
      onWarning: (message) => expect(message).toBe(''),
    });
    models.push(original, read);
    if (typeof expected === 'function') {
      const inputs = expected();
      const [actual, wanted] = await Promise.all(
        [read, original].map(async (model) => (await model.forward(inputs).logits?.data()) as Float32Array),
      );
      expect(actual?.length).toBeGreaterThan(0);
      const limit = 2e-5 * largest(wanted!);
      for (const [i, value] of actual!.entries()) expect(Math.abs(value - wanted![i]!), `${i}`).toBeLessThan(limit);
      return;
    }
    const state = read.stateDict();
    for (const [key, entry] of Object.entries(original.stateDict())) {
      if (typeof expected === 'object' && expected.without.test(key)) continue;
      expect([key, ...(await state[key]!.data())]).toEqual([key, ...(await entry.data())]);
    }
  });
});

it('reads the two tables of a decoder whose output was quantized by itself', async () => {
  const data = testData('families/mbart');
  const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
  const values = (name: string) => tensors.get(name)!.data() as Float32Array;
  const all = new Map([...tensors].map(([name, { shape }]) => [name, { shape, values: values(name) }]));
  const table = all.get('model.shared.weight')!;
  const isOf = (stack: string) => (name: string) => name.startsWith(`model.${stack}.`) && !/embed_tokens/.test(name);
  const part = (stack: string) => [...all].filter(([name]) => isOf(stack)(name));
  const encoder = new Graph(
    new Map(
      [...part('encoder'), ['model.encoder.embed_tokens.weight', table] as const].map(([name, value]) => [
        name.slice('model.encoder.'.length),
        value,
      ]),
    ),
  );
  const output = changed(table, (value) => Math.fround(1.01 * value));
  const bias = all.get('final_logits_bias');
  const decoder = new Graph(
    new Map([
      ...part('decoder'),
      ['model.shared.weight', table] as const,
      ['lm_head.weight', output] as const,
      ...(bias ? [['final_logits_bias', bias] as const] : []),
    ]),
  );
  const model = await loadModel(
    device,
    {
      'config.json': await data.bytes('config.json'),
      'onnx/encoder_model_quantized.onnx': encoder.file(),
      'onnx/decoder_model_merged_quantized.onnx': decoder.file(),
    },
    { dtype: 'q8', onWarning() {} },
  );
  models.push(model);
  const state = model.stateDict();
  const tables = ['model.encoder.embed_tokens.weight', 'model.decoder.embed_tokens.weight', 'lm_head.weight'];
  const [source, target, head] = await Promise.all(tables.map(async (name) => state[name]!.data()));
  expect(source).toEqual(table.values);
  expect(target).toEqual(table.values);
  expect(head).toEqual(output.values);
});

it('reads the two files of SAM, and refuses prompts that they do not have', async () => {
  const data = testData('families/sam');
  const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
  const all = [...tensors].map(([name, entry]) => {
    return [name, { shape: entry.shape, values: entry.data() as Float32Array }] as const;
  });
  const isVision = (name: string) => /^(vision_encoder|shared_image_embedding)\./.test(name);
  const vision = new Graph(new Map(all.filter(([name]) => isVision(name))));
  for (const name of vision.names(/rel_pos_h$/))
    for (const [place, kind] of ['rel_pos_h', 'rel_pos_w'].entries()) {
      const { shape, values } = vision.take(name.replace('rel_pos_h', kind));
      const table = transpose(values, shape) as Float32Array;
      const path = scope(name.replace(/\.rel_pos_h$/, ''));
      vision.readAt(place, path, 'Resize', { shape: [1, ...[...shape].reverse()], values: table });
    }
  const prompts = new Graph(new Map(all.filter(([name]) => !isVision(name))));
  for (const name of prompts.names(/mask_embed\.|point_embed\.[23]\./))
    if (!name.includes('no_mask')) prompts.take(name);
  for (const place of [1, 0]) {
    const point = prompts.take(`prompt_encoder.point_embed.${place}.weight`);
    prompts.readAt(place + 1, 'prompt_encoder', 'Add', shaped(point, [1, 1, ...point.shape]));
  }
  const none = prompts.take('prompt_encoder.no_mask_embed.weight');
  prompts.read('prompt_encoder', 'Expand', shaped(none, [...none.shape, 1, 1]));
  const tokens = ['iou_token', 'mask_tokens'].map((name) => prompts.take(`mask_decoder.${name}.weight`));
  prompts.read('mask_decoder', 'Expand', {
    shape: [1 + tokens[1]!.shape[0]!, tokens[1]!.shape[1]!],
    values: Float32Array.from(tokens.flatMap(({ values }) => [...values])),
  });
  const files = {
    'config.json': await data.bytes('config.json'),
    'onnx/vision_encoder.onnx': vision.file(),
    'onnx/prompt_encoder_mask_decoder.onnx': prompts.file(),
  };
  const model = await loadModel(device, files, { onWarning: (message) => expect(message).toBe('') });
  const original = await loadModel(device, data.path);
  models.push(model as PretrainedModel, original as PretrainedModel);
  const state = model.stateDict();
  for (const [name, entry] of Object.entries(original.stateDict()))
    if (!/^prompt_encoder\.(mask_embed|point_embed\.[23])\./.test(name))
      expect([name, ...(await state[name]!.data())]).toEqual([name, ...(await entry.data())]);
  const size = (original.config.vision_config as { image_size: number }).image_size;
  const pixels = images(3, size);
  const boxes = { ...pixels, inputBoxes: device.tensor(Float32Array.of(1, 1, 9, 9), [1, 1, 4]) };
  expect(() => (model as PretrainedModel).forward(boxes)).toThrow(
    'inputBoxes need prompt_encoder.point_embed.2, which the ONNX file lacks',
  );
  const { iouScores } = (original as PretrainedModel).forward(boxes);
  expect(iouScores?.size).toBeGreaterThan(0);
});

it.each([
  ['families/xlnet', /\.(r_s_bias|seg_embed)$/],
  ['families/longformer', /_global\./],
])('reads %s without what the exported inputs do not need', async (folder, unused) => {
  const data = testData(folder);
  const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
  const graph = new Graph(
    new Map(
      [...tensors]
        .filter(([name, { dtype }]) => dtype === 'F32' && !unused.test(name))
        .map(([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }]),
    ),
  );
  const onWarning = (message: string) => expect(message).toMatch(/pooler|logits_proj|lm_head/);
  const config = { ...(await data.json<object>('config.json')), architectures: [] };
  const files = (weights: object) => ({ 'config.json': new TextEncoder().encode(JSON.stringify(config)), ...weights });
  const read = await loadModel(device, files({ 'onnx/model.onnx': graph.file() }), { head: 'none', onWarning });
  const whole = files({ 'model.safetensors': await data.bytes('model.safetensors') });
  const original = await loadModel(device, whole, { head: 'none', onWarning() {} });
  models.push(read as PretrainedModel, original as PretrainedModel);
  const inputs = { inputIds: [[3, 9, 4, 11, 5, 7, 8, 6]] };
  const outputOf = (model: unknown, given: ModelInputs) =>
    (model as PretrainedModel).forward(given).lastHiddenState!.data();
  expect(await outputOf(read, inputs)).toEqual(await outputOf(original, inputs));
  if (folder.includes('xlnet')) {
    const types = { tokenTypeIds: [[0, 0, 0, 0, 1, 1, 1, 2]] };
    expect(await outputOf(read, { ...inputs, ...types })).toEqual(await outputOf(original, inputs));
  } else
    expect(() => outputOf(read, { ...inputs, globalAttentionMask: [[1, 0, 0, 0, 0, 0, 0, 0]] })).toThrow(
      'global tokens need query_global, which the ONNX file lacks',
    );
});

it('reads the two files of CLAP, which lack the scales of similarities', async () => {
  const data = testData('families/clap');
  const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
  const all = [...tensors]
    .filter(([, { dtype }]) => dtype === 'F32')
    .map(([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }] as const);
  const towerOf = (side: string) => new Graph(new Map(all.filter(([name]) => name.startsWith(side)))).file();
  const files = {
    'config.json': await data.bytes('config.json'),
    'onnx/text_model.onnx': towerOf('text'),
    'onnx/audio_model.onnx': towerOf('audio'),
  };
  const warnings: string[] = [];
  const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
  const original = await loadModel(device, data.path);
  models.push(model as PretrainedModel, original as PretrainedModel);
  expect(warnings).toEqual([expect.stringMatching(/has no logit_scale_t, logit_scale_a: initialized/)]);
  const state = model.stateDict();
  for (const [name, entry] of Object.entries(original.stateDict()))
    if (name.startsWith('logit_scale')) expect((await state[name]!.data())[0]).toBeCloseTo(Math.log(1 / 0.07), 6);
    else expect([name, ...(await state[name]!.data())]).toEqual([name, ...(await entry.data())]);
});

it('reads the postnet of SpeechT5 from the file of its vocoder', async () => {
  const data = testData('families/speecht5');
  const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
  const all = [...tensors].filter(([, { dtype }]) => dtype === 'F32');
  const part = (isIn: (name: string) => boolean) =>
    new Graph(
      new Map(
        all
          .filter(([name]) => isIn(name))
          .map(([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }]),
      ),
    );
  const isPostnet = (name: string) => /^speech_decoder_postnet\.layers/.test(name);
  const isEncoder = (name: string) => name.startsWith('speecht5.encoder.');
  const postnet = part(isPostnet);
  for (const name of postnet.names(/conv\.weight$/)) {
    const path = name.replace(/\.weight$/, '');
    folded(postnet, path, path.replace(/conv$/, 'batch_norm'), scope(path.replace('speech_decoder_postnet.', '')));
  }
  postnet.parameters.set('vocoder.mean', { shape: [8], values: new Float32Array(8) });
  const files = {
    'config.json': await data.bytes('config.json'),
    'onnx/encoder_model.onnx': part(isEncoder).file(),
    'onnx/decoder_model.onnx': part((name) => !isEncoder(name) && !isPostnet(name)).file(),
    'onnx/decoder_postnet_and_vocoder.onnx': postnet.file(),
  };
  const read = await loadModel(device, files, { onWarning: (message) => expect(message).toBe('') });
  const original = await loadModel(device, data.path, { onWarning() {} });
  models.push(read as PretrainedModel, original as PretrainedModel);
  const inputs = {
    inputIds: [[3, 5, 7, 2]],
    speakerEmbeddings: device.zeros([1, 12]),
    labels: device.tensor(
      Float32Array.from({ length: 6 * 8 }, (_, i) => Math.sin(i)),
      [1, 6, 8],
    ),
  };
  const [actual, wanted] = await Promise.all(
    [read, original].map(async (model) => {
      const { spectrogram } = (model as PretrainedModel).forward(inputs);
      return (await spectrogram!.data()) as Float32Array;
    }),
  );
  for (const [i, value] of actual!.entries())
    expect(Math.abs(value - wanted![i]!)).toBeLessThan(2e-5 * largest(wanted!));
});

it("reads the layers of x-vectors from convolutions, and needs no speakers' directions", async () => {
  const variant = variants.find(({ name }) => name === "WavLM's voices")!;
  const { tensors } = parseSafetensors(weightsFile(variant.shapes));
  const values = [...tensors].map(
    ([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }] as const,
  );
  const graph = new Graph(new Map(values));
  graph.take('objective.weight');
  for (const [i, taps] of [2, 3].entries()) {
    const { shape, values } = graph.take(`tdnn.${i}.kernel.weight`);
    const [outputs, width] = shape as [number, number];
    const inputs = width / taps;
    const byInput = values.map(
      (_, at) => values[at - (at % width) + (at % taps) * inputs + Math.floor((at % width) / taps)]!,
    );
    graph.read(`tdnn.${i}`, 'Conv', { shape: [outputs, inputs, taps], values: byInput });
  }
  const config = new TextEncoder().encode(JSON.stringify(variant.config));
  const onWarning = (message: string) => expect(message).toBe('');
  const read = await loadModel(device, { 'config.json': config, 'onnx/model.onnx': graph.file() }, { onWarning });
  models.push(read);
  const state = read.stateDict();
  for (const i of [0, 1])
    expect(await state[`tdnn.${i}.kernel.weight`]!.data()).toEqual(tensors.get(`tdnn.${i}.kernel.weight`)!.data());
});

it("reads GLPN's batch norms from convolutions with a bias", async () => {
  const variant = variants.find(({ name }) => name === "GLPN's depths")!;
  const { tensors } = parseSafetensors(weightsFile(variant.shapes));
  const values = [...tensors].map(
    ([name, entry]) => [name, { shape: entry.shape, values: entry.data() as Float32Array }] as const,
  );
  const graph = new Graph(new Map(values));
  for (const i of [1, 2]) {
    const layer = `decoder.stages.1.fusion.convolutional_layer${i}`;
    folded(
      graph,
      `${layer}.0`,
      `${layer}.1`,
      `decoder/stages.1/fusion/convolutional_layer${i}/convolutional_layer${i}.0`,
    );
  }
  const config = new TextEncoder().encode(JSON.stringify(variant.config));
  const onWarning = (message: string) => expect(message).toBe('');
  const [wanted, actual] = await Promise.all(
    [{ 'model.safetensors': weightsFile(variant.shapes) }, { 'onnx/model.onnx': graph.file() }].map(async (file) => {
      const model = await loadModel(device, { 'config.json': config, ...file }, { onWarning });
      models.push(model);
      return model.forward(images(1, 8, 16)).predictedDepth!.data() as Promise<Float32Array>;
    }),
  );
  for (const [i, value] of actual!.entries())
    expect(Math.abs(value - wanted![i]!)).toBeLessThan(2e-5 * largest(wanted!));
});

const scale = { shape: [], values: Float32Array.of(20) };
const bias = { shape: [1], values: Float32Array.of(-7) };
const similarities: readonly [title: string, write: (graph: Graph) => void, expected: Record<string, number>][] = [
  [
    'a scale',
    (graph) => graph.node('/Mul', 'Mul', ['/MatMul_output_0', graph.constant('Exp', scale)], 'logits_per_text'),
    { logit_scale: Math.log(20) },
  ],
  [
    'a scale and a bias',
    (graph) => {
      const product = graph.node('/Mul', 'Mul', [graph.constant('Exp', scale), '/MatMul_output_0']);
      graph.node('/Add', 'Add', [product, graph.constant('Add', bias)], 'logits_per_image');
    },
    { logit_scale: Math.log(20), logit_bias: -7 },
  ],
  [
    'a bias alone: the scale is 1',
    (graph) => graph.node('/Add', 'Add', ['/MatMul_output_0', graph.constant('Add', bias)], 'logits_per_text'),
    { logit_scale: 0, logit_bias: -7 },
  ],
  [
    'a scale of float16',
    (graph) => {
      graph.node('/Mul', 'Mul', ['/MatMul_output_0', graph.constant('Exp', scale)], 'graph_output_cast_1');
      graph.node('graph_output_cast1', 'Cast', ['graph_output_cast_1'], 'logits_per_text');
    },
    { logit_scale: Math.log(20) },
  ],
  [
    'a product of other values',
    (graph) => graph.node('/Mul', 'Mul', ['x', graph.constant('Mul', scale)], 'last_hidden_state'),
    {},
  ],
];

it.each(similarities)('reads what the optimizer computed of similarities: %s', async (_, write, expected) => {
  const graph = new Graph(new Map());
  write(graph);
  const { folded } = await graphWeights(await readOnnx(inMemory(graph.file())), () => undefined);
  const found = [...folded.single].map(async ([name, weight]) => [name, (await weight.data())[0]]);
  expect(Object.fromEntries(await Promise.all(found))).toEqual(
    Object.fromEntries(Object.entries(expected).map(([name, value]) => [name, Math.fround(value)])),
  );
});
