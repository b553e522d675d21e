// Quantizers of ONNX Runtime drop the metadata of products that torch.onnx.export(dynamo=True) writes. These graphs have
// the nodes and names of onnxruntime.quantization 1.32, for exports by torch 2.13.
import { expect, it } from 'vitest';
import { inMemory } from '../../src/io/byte-source.js';
import { readOnnx } from '../../src/io/onnx.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { WeightEntry } from '../../src/models/weight-entry.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { graphWeights } from '../../src/pretrained/onnx/graph-weights.js';
import { openOnnx } from '../../src/pretrained/onnx/open.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { hasOwnOutput } from '../../src/pretrained/own-output.js';
import { deviceFor, isas } from '../describe-op.js';
import { floats, foldedFrom, message, node, ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { testData } from '../test-data.js';
import { variants, weightsFile } from './variant.js';

const { int8, uint8, float } = ONNX_TYPES;

/** Integers with one scale and a zero point of 0. */
const quantized = (name: string, shape: readonly number[], values: readonly number[], scale: number) => [
  tensor(`${name}_quantized`, shape, int8, values),
  tensor(`${name}_scale`, [], float, floats(scale)),
  tensor(`${name}_zero_point`, [], int8, [0]),
];

/** A node of DequantizeLinear for each name, as in static quantization. */
const dequantizers = (...names: string[]) =>
  names.map((name) =>
    node({
      op: 'DequantizeLinear',
      inputs: ['_quantized', '_scale', '_zero_point'].map((part) => name + part),
      output: `${name}_DequantizeLinear_Output`,
    }),
  );

async function valuesOf(weights: ReadonlyMap<string, WeightEntry>) {
  const values = [...weights].map(async ([name, weight]) => [name, [...(await weight.data())]] as const);
  return Object.fromEntries(await Promise.all(values));
}

async function namesIn(...parts: Parameters<typeof onnxModel>) {
  const { named, unnamed, notes } = await graphWeights(await readOnnx(inMemory(onnxModel(...parts))), () => undefined);
  return { named: await valuesOf(named), unnamed, notes };
}

it('names matrices by the parameters from which the exporter computed them', async () => {
  const values = ['val_1', 'val_2', 'val_3', 'transpose_4'].map((name, i) => foldedFrom(name, `layers.${i}.weight`));
  const { named } = await namesIn(
    [
      ...quantized('val_1', [3, 2], [1, 2, 3, 4, 5, 6], 0.5),
      tensor('val_2_Q4', [1, 1, 8], uint8, [0x98, 0xba, 0x88, 0x88, 0x88, 0x88, 0x88, 0x88]),
      tensor('val_2_scales', [1], float, floats(2)),
      tensor('val_3_DQ_Q4', [2, 2], int8, [1, 2, 3, 4]),
      tensor('val_3_DQ_scales', [], float, floats(3)),
      ...quantized('transpose_4', [2, 2], [5, 6, 7, 8], 1),
    ],
    [
      node({
        name: 'node_linear_quant',
        op: 'MatMulInteger',
        inputs: ['x_quantized', 'val_1_quantized', 'x_zero_point', 'val_1_zero_point'],
        output: 'linear_output_quantized',
      }),
      node({
        name: 'node_linear_1_Q4',
        op: 'MatMulNBits',
        inputs: ['linear', 'val_2_Q4', 'val_2_scales'],
        output: 'linear_1',
        attributes: { N: 1, K: 16, block_size: 16, bits: 4 },
      }),
      node({ op: 'DequantizeLinear', inputs: ['val_3_DQ_Q4', 'val_3_DQ_scales'], output: 'val_3_DQ_Q4_output' }),
      node({ name: 'node_linear_2', op: 'MatMul', inputs: ['y', 'val_3_DQ_Q4_output'], output: 'linear_2' }),
      ...dequantizers('transpose_4'),
      node({ name: 'node_linear_3', op: 'MatMul', inputs: ['z', 'transpose_4_DequantizeLinear_Output'], output: 'z' }),
    ],
    values,
  );
  expect(named).toEqual({
    'layers.0.weight': [0.5, 1.5, 2.5, 1, 2, 3],
    'layers.1.weight': [0, 2, 4, 6, ...Array(12).fill(0)],
    'layers.2.weight': [3, 9, 6, 12],
    'layers.3.weight': [5, 7, 6, 8],
  });
});

it.each([
  ['int4', 'wte.weight', [0, 1, -8, 7]],
  ['uint4', 'lm_head.weight', [-8, -7, 0, -1]],
] as const)(
  'names tables in blocks of %s by their own names, if nodes have no path: %s',
  async (type, name, pattern) => {
    const { named, unnamed } = await namesIn(
      [
        tensor(`${name}_Q4`, [2, 16], ONNX_TYPES[type], Array(8).fill([0x10, 0x78]).flat()),
        tensor(`${name}_scales`, [2, 1], float, floats(1, 0.5)),
        ...(type === 'uint4' ? [tensor(`${name}_zero_points`, [2, 1], ONNX_TYPES.uint4, [0x88])] : []),
      ],
      [
        node({
          name: 'node_embedding_Q4',
          op: 'GatherBlockQuantized',
          inputs: [`${name}_Q4`, 'input_ids', `${name}_scales`, ...(type === 'uint4' ? [`${name}_zero_points`] : [])],
          output: 'embedding',
          attributes: { block_size: 16, gather_axis: 0, quantize_axis: 1 },
        }),
      ],
    );
    const row = Array(4).fill(pattern).flat() as number[];
    expect(named).toEqual({ [name]: [...row, ...row.map((value) => value / 2)] });
    expect(unnamed).toEqual([]);
  },
);

it('ignores values that were computed from several parameters', async () => {
  const several = message([1, 'val_1'], [4, message([1, 'pkg.onnxscript.optimizer.folded_from'], [2, "['a', 'b']"])]);
  const matrix = tensor('val_1', [2, 2], float, floats(1, 2, 3, 4));
  const { named, unnamed } = await namesIn(
    [matrix],
    [node({ name: 'node_linear', op: 'MatMul', inputs: ['x', 'val_1'], output: 'linear' })],
    [several],
  );
  expect([Object.keys(named), unnamed.length]).toEqual([[], 1]);
});

it('names matrices by biases behind quantized outputs, and by those of fused products', async () => {
  const stored = [
    ...quantized('val_1', [2, 2], [1, 2, 3, 4], 1),
    ...quantized('a.bias', [2], [1, 2], 1),
    ...quantized('val_2', [2, 2], [5, 6, 7, 8], 1),
    ...quantized('b.bias', [2], [3, 4], 1),
    ...quantized('b.bias0', [2], [3, 4], 1),
  ];
  const { named, unnamed } = await namesIn(stored, [
    ...dequantizers('val_1', 'a.bias', 'val_2', 'b.bias', 'b.bias0'),
    node({ name: 'node_MatMul_1', op: 'MatMul', inputs: ['x', 'val_1_DequantizeLinear_Output'], output: 'y' }),
    node({ op: 'QuantizeLinear', inputs: ['y', 'y_scale', 'y_zero_point'], output: 'y_quantized' }),
    node({ op: 'DequantizeLinear', inputs: ['y_quantized', 'y_scale', 'y_zero_point'], output: 'y_dequantized' }),
    node({ op: 'Add', inputs: ['y_dequantized', 'a.bias_DequantizeLinear_Output'], output: 'linear' }),
    node({
      name: 'node_MatMul_2/MatMulAddFusion',
      op: 'Gemm',
      inputs: ['linear', 'val_2_DequantizeLinear_Output', 'b.bias_DequantizeLinear_Output'],
      output: 'gemm',
    }),
  ]);
  expect(named['a.weight']).toEqual([1, 3, 2, 4]);
  expect(named['b.weight']).toEqual([5, 7, 6, 8]);
  expect(Object.keys(named).sort()).toEqual(['a.bias', 'a.weight', 'b.bias', 'b.weight']);
  expect(unnamed.map(({ entry }) => entry.shape)).toEqual([[2]]);
});

const TABLE = 'lm_head.decoder.weight';

it('tells a table from the tied output that was quantized by itself', async () => {
  const { named } = await namesIn(
    [...quantized(TABLE, [3, 2], [1, 2, 3, 4, 5, 6], 1), ...quantized('val_1', [2, 3], [2, 3, 4, 5, 6, 7], 1)],
    [
      node({
        name: 'node_embedding',
        op: 'Gather',
        inputs: [`${TABLE}_quantized`, 'input_ids'],
        output: 'embedding_quantized',
        metadata: {
          'pkg.torch.onnx.name_scopes': "['', 'roberta', 'roberta.embeddings.word_embeddings', 'embedding']",
        },
      }),
      node({ op: 'MatMulInteger', inputs: ['x', 'val_1_quantized'], output: 'y' }),
    ],
    [foldedFrom('val_1', TABLE)],
  );
  expect(named).toEqual({
    'roberta.embeddings.word_embeddings.weight': [1, 2, 3, 4, 5, 6],
    [TABLE]: [2, 5, 3, 6, 4, 7],
  });
});

/** The nodes of a table and an output after onnxruntime's quant_pre_process, which drops all metadata. */
const tableAndOutput = (table: string, ...outputs: string[]) => [
  node({ name: 'node_embedding', op: 'Gather', inputs: [`${table}_quantized`, 'ids'], output: 'embedding_quantized' }),
  ...outputs.map((name) =>
    node({ name: `node_${name}`, op: 'MatMulInteger', inputs: ['x', `${name}_quantized`], output: `${name}_output` }),
  ),
];

it.each([
  ['lm_head.weight', 'transformer.wte.weight', 'lm_head.weight'],
  ['transformer.wte.weight', 'transformer.wte.weight', 'lm_head.weight'],
  ['embed_out.weight', 'gpt_neox.embed_in.weight', 'embed_out.weight'],
  ['lm_head.decoder.weight', 'roberta.embeddings.word_embeddings.weight', 'lm_head.decoder.weight'],
])('finds the quantized output beside the table %s without metadata', async (stored, table, output) => {
  const file = onnxModel(
    [...quantized(stored, [3, 2], [1, 2, 3, 4, 5, 6], 1), ...quantized('val_1', [2, 3], [2, 3, 4, 5, 6, 7], 1)],
    tableAndOutput(stored, 'val_1'),
  );
  const weights = await openOnnx(await openSource({ 'model.onnx': file }), ['model.onnx']);
  expect(await hasOwnOutput(weights.tensors, await deviceFor(isas.at(-1) as string, 1))).toBe(true);
  const found = await valuesOf(weights.named?.(new Set([table, output])) ?? new Map());
  expect(found).toEqual({ [table]: [1, 2, 3, 4, 5, 6], [output]: [2, 5, 3, 6, 4, 7] });
});

it('tells the output from other products by their biases', async () => {
  const table = 'lm_head.decoder.weight';
  const { named } = await namesIn(
    [
      ...quantized(table, [2, 2], [1, 2, 3, 4], 1),
      ...quantized('val_1', [2, 2], [2, 3, 4, 5], 1),
      ...quantized('val_2', [2, 2], [6, 7, 8, 9], 1),
      tensor('a.bias', [2], float, floats(1, 2)),
      tensor('lm_head.decoder.bias', [2], float, floats(3, 4)),
    ],
    [
      ...tableAndOutput(table, 'val_1', 'val_2'),
      node({ op: 'Add', inputs: ['val_1_output', 'a.bias'], output: 'a' }),
      node({ op: 'Add', inputs: ['val_2_output', 'lm_head.decoder.bias'], output: 'logits' }),
    ],
  );
  expect([named['a.weight'], named[table]]).toEqual([
    [2, 4, 3, 5],
    [6, 8, 7, 9],
  ]);
});

it('refuses a graph in which several products may be the output', async () => {
  const table = 'lm_head.weight';
  const numbers = ['val_1', 'val_2'].flatMap((name) => quantized(name, [2, 2], [2, 3, 4, 5], 1));
  const parts = [
    [...quantized(table, [2, 2], [1, 2, 3, 4], 1), ...numbers],
    tableAndOutput(table, 'val_1', 'val_2'),
  ] as const;
  const expected = /products "node_val_1", "node_val_2" have no path of a module, and each may be the output/;
  await expect(namesIn(...parts)).rejects.toThrow(expected);
});

it('reads a norm that the exporter computed and a quantizer rounded', async () => {
  const graph = await readOnnx(
    inMemory(
      onnxModel(quantized('add_1', [2], [1, 2], 0.5), [
        ...dequantizers('add_1'),
        node({ name: '/norm/Mul', op: 'Mul', inputs: ['add_1_DequantizeLinear_Output', 'x'], output: 'y' }),
      ]),
    ),
  );
  const { folded } = await graphWeights(graph, () => undefined);
  expect([...((await folded.single.get('norm.weight')?.data()) ?? [])]).toEqual([0.5, 1]);
});

it('says that matrices have no names', async () => {
  const files = {
    'config.json': await testData('families/llama').bytes('config.json'),
    'onnx/model.onnx': onnxModel(quantized('val_1', [2, 3], [1, 2, 3, 4, 5, 6], 1), [
      node({ name: 'node_linear', op: 'MatMulInteger', inputs: ['x', 'val_1_quantized'], output: 'linear' }),
    ]),
  };
  const device = await deviceFor(isas.at(-1) as string, 1);
  const expected = /lacks weights of the model: .*; matrices without a name in its graph: 1 \(no path/;
  await expect(loadModel(device, files)).rejects.toThrow(expected);
});

it.each([
  ['the values that Identity copies', node({ op: 'Identity', inputs: ['val_1'], output: 'val_2' }), []],
  ['another initializer', node({ op: 'Shape', inputs: ['ids'], output: 'shape' }), ['val_2']],
])('uses the floats of the second product of a shared layer: %s', async (_, middle, copies) => {
  const matrix = floats(1.25, 2.25, 3.25, 4.25);
  const stored = [...(copies.length > 0 ? [] : ['val_1']), ...copies].map((name) =>
    tensor(name, [2, 2], float, matrix),
  );
  const { named, unnamed, notes } = await namesIn(
    [...stored, ...quantized('val_1', [2, 2], [1, 2, 3, 4], 1), tensor('query.bias', [2], float, floats(0, 0))],
    [
      middle,
      node({ name: '/query/MatMul_quant', op: 'MatMulInteger', inputs: ['x', 'val_1_quantized'], output: 'first' }),
      node({ op: 'Add', inputs: ['query.bias', 'first'], output: 'y' }),
      node({ name: '/query_1/MatMul', op: 'MatMul', inputs: ['y', 'val_2'], output: 'second' }),
      node({ op: 'Add', inputs: ['query.bias', 'second'], output: 'z' }),
    ],
  );
  expect(named['query.weight']).toEqual([1.25, 3.25, 2.25, 4.25]);
  expect(unnamed).toEqual([]);
  const name = copies.length > 0 ? 'query.weight' : 'val_1';
  expect(notes).toEqual([`${name} has integers for one use and floats for another: the model has the floats for both`]);
});

it.each([
  [0.5, []],
  [0.25, ['norm.bias (like 1 more) is rounded differently for several uses: the model has the values of the first']],
])('tells if copies of a bias have other values: scale %s', async (scale, expected) => {
  const biases = ['norm.bias', 'dense.bias'];
  const graph = onnxModel(
    biases.flatMap((bias) => [
      ...quantized(bias, [2], [3, 4], 0.5),
      ...quantized(`${bias}0`, [2], [3, 4], scale),
      ...quantized(`${bias}1`, [2], [3, 4], scale),
    ]),
    dequantizers(...biases.flatMap((bias) => [bias, `${bias}0`, `${bias}1`])),
  );
  const { named, notes } = await graphWeights(await readOnnx(inMemory(graph)), () => undefined);
  expect(await valuesOf(named)).toEqual({ 'norm.bias': [1.5, 2], 'dense.bias': [1.5, 2] });
  expect(notes).toEqual(expected);
});

it.each(['model.rotary_emb.inv_freq', '/model/rotary_emb/Constant_1_output_0'])(
  'warns that the model does not use rounded frequencies: %s',
  async (name) => {
    const { config, shapes } = variants.find((variant) => variant.name.startsWith('Llama with dynamic rotation'))!;
    const { tensors } = parseSafetensors(weightsFile(shapes));
    const weights = [...tensors].map(([weight, entry]) =>
      tensor(weight, entry.shape, float, new Uint8Array((entry.data() as Float32Array).slice().buffer)),
    );
    const files = {
      'config.json': new TextEncoder().encode(JSON.stringify(config)),
      'onnx/model_quantized.onnx': onnxModel(
        [...weights, ...quantized(name, [2], [127, 3], 1 / 127)],
        dequantizers(name),
      ),
    };
    const warnings: unknown[] = [];
    const device = await deviceFor(isas.at(-1) as string, 1);
    const onWarning = (...warning: unknown[]) => warnings.push(warning);
    const model = await loadModel(device, files, { dtype: 'q8', onWarning });
    model.dispose();
    const text = `onnx/model_quantized.onnx: ${name} is rounded to integers: the model has the exact frequencies of config.json`;
    expect(warnings).toEqual([[expect.stringContaining(text), 'converted-weights']]);
  },
);

it('reads an OPT whose ReLU a static quantizer has replaced by a zero point', async () => {
  const layer = 'model.decoder.layers.0';
  const [table, positions] = ['model.decoder.embed_tokens.weight', 'model.decoder.embed_positions.weight'];
  const projections = ['q_proj', 'k_proj', 'v_proj', 'out_proj'].map((name) => `${layer}.self_attn.${name}`);
  const modules = [
    ...projections,
    ...['self_attn_layer_norm', 'fc1', 'fc2', 'final_layer_norm'].map((name) => `${layer}.${name}`),
  ];
  const shapes: Record<string, number[]> = { [table]: [5, 4], [positions]: [5, 4] };
  for (const name of [...modules, 'model.decoder.final_layer_norm']) {
    const outputs = name.endsWith('.fc1') ? 6 : 4;
    shapes[`${name}.weight`] = name.endsWith('norm') ? [4] : [outputs, name.endsWith('.fc2') ? 6 : 4];
    shapes[`${name}.bias`] = [outputs];
  }
  const weights = Object.entries(shapes).flatMap(([name, shape], k) => {
    const size = shape.reduce((product, n) => product * n, 1);
    const values = Array.from({ length: size }, (_, i) => (((i + 1) * (37 + 2 * k)) % 101) - 50);
    return quantized(name, shape, values, 1 / 64);
  });
  const dequantizedName = (name: string) => `${name}_DequantizeLinear_Output`;
  const fc = (name: string, input: string) =>
    node({
      name: `/decoder/layers.0/${name}/Gemm`,
      op: 'Gemm',
      inputs: [input, ...['weight', 'bias'].map((part) => dequantizedName(`${layer}.${name}.${part}`))],
      output: `${name}_output`,
      attributes: { transB: 1 },
    });
  const scale = ['relu_scale', 'relu_zero_point'];
  const files = {
    'config.json': new TextEncoder().encode(
      JSON.stringify({
        model_type: 'opt',
        architectures: ['OPTForCausalLM'],
        vocab_size: 5,
        hidden_size: 4,
        word_embed_proj_dim: 4,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        ffn_dim: 6,
        max_position_embeddings: 3,
      }),
    ),
    'onnx/model_quantized.onnx': onnxModel(
      [...weights, tensor('relu_scale', [], float, floats(0.01)), tensor('relu_zero_point', [], int8, [128])],
      [
        ...dequantizers(...Object.keys(shapes)),
        node({ op: 'Gather', inputs: [dequantizedName(table), 'input_ids'], output: 'embedding' }),
        fc('fc1', 'x'),
        node({ op: 'QuantizeLinear', inputs: ['fc1_output', ...scale], output: 'relu_quantized' }),
        node({ op: 'DequantizeLinear', inputs: ['relu_quantized', ...scale], output: 'relu' }),
        fc('fc2', 'relu'),
      ],
    ),
  };
  const model = await loadModel(await deviceFor(isas.at(-1) as string, 1), files, { dtype: 'q8', weights: 'float32' });
  const { logits } = model.forward({ inputIds: [[1, 4, 3]] });
  // Logits of transformers 4.57 in float64, with the weights above.
  const expected = [
    [0.0294154, 0.5555206, -0.054892, 0.4712132, -0.7077827],
    [0.5491337, 0.0531747, 0.6232878, 0.1273288, -0.955815],
    [0.0300894, 0.5564774, -0.0543518, 0.4720362, -0.7089609],
  ].flat();
  const actual = (await logits?.data()) ?? [];
  expect(Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] as number))))).toBeLessThan(2e-6);
  model.dispose();
});
