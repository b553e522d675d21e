// Language models in the layout of onnxruntime-genai's model builder, which repositories of onnx-community have:
// projections by the names of nodes, GroupQueryAttention, SkipSimplifiedLayerNormalization, MatMulNBits. Each model gets
// the weights of the folder from which its file was made.
import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { transpose } from '../../src/nn/stored-layout.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { node, ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { testData } from '../test-data.js';

const data = testData('reference');
const device = await deviceFor(isas.at(-1) as string, 2);
const models: LoadedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

async function load(...given: Parameters<typeof loadModel> extends [unknown, ...infer Rest] ? Rest : never) {
  const model = await loadModel<LoadedModel>(device, ...given);
  models.push(model);
  return model;
}

interface Layout {
  /** True if queries, keys and values are one product. */
  readonly isPacked?: boolean;
  /** Inputs that share a scale of MatMulNBits; 0 for products of floats. */
  readonly block?: number;
  readonly hasZeros?: boolean;
}

interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** Expected weights of a state dict by name. Quantized ones differ from those of the folder. */
type Meaning = Map<string, Float32Array>;

/** Codes of 4 bits of each block, low half first, whose scales are powers of two: float16 holds them exactly. */
function quantized({ rows, columns, values }: Matrix, block: number, hasZeros: boolean) {
  const blocks = Math.ceil(columns / block);
  const codes = new Uint8Array((rows * blocks * block) / 2);
  const scales = new Uint16Array(rows * blocks);
  const zeros = new Uint8Array(rows * Math.ceil(blocks / 2));
  const meant = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let each = 0; each < blocks; each++) {
      const exponent = ((row + each) % 3) - 6;
      const zero = hasZeros ? (row + 3 * each) % 16 : 8;
      scales[row * blocks + each] = (15 + exponent) << 10;
      const at = row * Math.ceil(blocks / 2) + (each >> 1);
      zeros[at] = zeros[at]! | (zero << (4 * (each & 1)));
      for (let i = 0; i < block; i++) {
        const column = each * block + i;
        if (column >= columns) break;
        const q = Math.max(0, Math.min(15, Math.round(values[row * columns + column]! / 2 ** exponent) + zero));
        const place = (row * blocks + each) * block + i;
        codes[place >> 1] = codes[place >> 1]! | (q << (4 * (place & 1)));
        meant[row * columns + column] = (q - zero) * 2 ** exponent;
      }
    }
  }
  return { codes, scales: new Uint8Array(scales.buffer), zeros, blocks, meant };
}

class Builder {
  readonly initializers: number[][] = [];
  readonly nodes: number[][] = [];
  readonly meaning: Meaning = new Map();

  constructor(private readonly layout: Layout) {}

  floats(name: string, shape: readonly number[], values: Float32Array) {
    this.initializers.push(tensor(name, shape, ONNX_TYPES.float, new Uint8Array(values.slice().buffer)));
  }

  /** A product by the path of its module in the graph. Returns the values of the matrix. */
  product(path: string, matrix: Matrix): Float32Array {
    const { block = 0, hasZeros = false } = this.layout;
    const { rows, columns, values } = matrix;
    const [name, weight] = [`/${path.replace(/\.(?!\d)/g, '/')}/MatMul`, `${path}.MatMul.weight`];
    const output = `${name}/output_0`;
    if (block === 0) {
      this.floats(weight, [columns, rows], transpose(values, [rows, columns]) as Float32Array);
      this.nodes.push(node({ name, op: 'MatMul', inputs: ['x', weight], output }));
      return values;
    }
    const { codes, scales, zeros, blocks, meant } = quantized(matrix, block, hasZeros);
    this.initializers.push(tensor(`${weight}_Q4`, [rows, blocks, block / 2], ONNX_TYPES.uint8, codes));
    this.initializers.push(tensor(`${weight}_scales`, [rows * blocks], ONNX_TYPES.float16, scales));
    const inputs = ['x', `${weight}_Q4`, `${weight}_scales`];
    if (hasZeros) {
      this.initializers.push(tensor(`${weight}_zero_points`, [zeros.length], ONNX_TYPES.uint8, zeros));
      inputs.push(`${weight}_zero_points`);
    }
    const attributes = { K: columns, N: rows, bits: 4, block_size: block };
    this.nodes.push(node({ name: `${name}_Q4`, op: 'MatMulNBits', inputs, output, attributes }));
    return meant;
  }

  bias(path: string, values: Float32Array) {
    const name = `/${path.replace(/\.(?!\d)/g, '/')}`;
    this.floats(`${path}.Add.bias`, [values.length], values);
    const inputs = [`${name}/MatMul/output_0`, `${path}.Add.bias`];
    this.nodes.push(node({ name: `${name}/Add`, op: 'Add', inputs, output: `${name}/Add/output_0` }));
  }
}

const joined = (...parts: readonly Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));

/** Writes a model as the builder does. */
async function built(model: LoadedModel, layout: Layout): Promise<{ file: Uint8Array; meaning: Meaning }> {
  const builder = new Builder(layout);
  const { meaning } = builder;
  const state = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const [name, entry] of Object.entries(model.stateDict()))
    state.set(name, { shape: entry.shape, values: (await entry.data()) as Float32Array });
  const take = (name: string): Matrix => {
    const { shape, values } = state.get(name)!;
    return { rows: shape[0]!, columns: shape[1] ?? 1, values };
  };
  const linear = (path: string, given: string) => {
    const values = builder.product(path, take(`${given}.weight`));
    meaning.set(`${given}.weight`, values);
    if (state.has(`${given}.bias`)) builder.bias(path, state.get(`${given}.bias`)!.values);
  };
  const plus = model.config.model_type === 'gemma3_text' ? 1 : 0;
  const norm = (path: string, given: string) => {
    const { values } = state.get(`${given}.weight`)!;
    builder.floats(
      `${path}.weight`,
      [values.length],
      values.map((value) => value + plus),
    );
    meaning.set(`${given}.weight`, plus ? values.map((value) => Math.fround(value + 1) - 1) : values);
  };
  const { num_attention_heads: heads, num_key_value_heads: keys } = model.config as Record<string, number>;
  const layers = Number(model.config.num_hidden_layers);
  const isTied = model.config.tie_word_embeddings === true;
  if (!isTied)
    builder.floats(
      'model.embed_tokens.weight',
      state.get('model.embed_tokens.weight')!.shape,
      take('model.embed_tokens.weight').values,
    );
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    for (const each of ['input', 'post_attention', 'pre_feedforward', 'post_feedforward'])
      if (state.has(`${at}.${each}_layernorm.weight`)) norm(`${at}.${each}_layernorm`, `${at}.${each}_layernorm`);
    const parts = ['q', 'k', 'v'].map((each) => `${at}.self_attn.${each}_proj`);
    const names = state.has(`${at}.self_attn.qkv_proj.weight`) ? [`${at}.self_attn.qkv_proj`] : parts;
    if (layout.isPacked && names.length > 1) {
      const matrices = names.map((name) => take(`${name}.weight`));
      const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
      const { columns } = matrices[0]!;
      const whole = { rows, columns, values: joined(...matrices.map(({ values }) => values)) };
      const values = builder.product(`${at}.attn.qkv_proj`, whole);
      let first = 0;
      for (const [i, matrix] of matrices.entries()) {
        meaning.set(`${names[i]}.weight`, values.slice(first, first + matrix.values.length));
        first += matrix.values.length;
      }
      if (state.has(`${names[0]}.bias`))
        builder.bias(`${at}.attn.qkv_proj`, joined(...names.map((name) => state.get(`${name}.bias`)!.values)));
    } else {
      for (const name of names) linear(name.replace('.self_attn.', '.attn.'), name);
    }
    for (const each of ['q_norm', 'k_norm'])
      if (state.has(`${at}.self_attn.${each}.weight`)) norm(`${at}.attn.${each}.layernorm`, `${at}.self_attn.${each}`);
    const attributes = { num_heads: heads!, kv_num_heads: keys! };
    const name = `/model/layers.${layer}/attn/GroupQueryAttention`;
    builder.nodes.push(node({ name, op: 'GroupQueryAttention', inputs: [], output: `${name}/output_0`, attributes }));
    linear(`${at}.attn.o_proj`, `${at}.self_attn.o_proj`);
    if (state.has(`${at}.mlp.gate_up_proj.weight`)) {
      const { rows, columns, values } = take(`${at}.mlp.gate_up_proj.weight`);
      const half = { rows: rows / 2, columns };
      const gate = builder.product(`${at}.mlp.gate_proj`, { ...half, values: values.slice(0, values.length / 2) });
      const up = builder.product(`${at}.mlp.up_proj`, { ...half, values: values.slice(values.length / 2) });
      meaning.set(`${at}.mlp.gate_up_proj.weight`, joined(gate, up));
    } else {
      for (const each of ['gate_proj', 'up_proj']) linear(`${at}.mlp.${each}`, `${at}.mlp.${each}`);
    }
    linear(`${at}.mlp.down_proj`, `${at}.mlp.down_proj`);
  }
  norm(`model.layers.${layers}.final_norm_layernorm`, 'model.norm');
  const head = builder.product('lm_head', take(isTied ? 'model.embed_tokens.weight' : 'lm_head.weight'));
  for (const name of isTied ? ['model.embed_tokens.weight', 'lm_head.weight'] : ['lm_head.weight'])
    meaning.set(name, head);
  if (isTied && !layout.block) {
    const name = '/model/embed_tokens/Transpose';
    builder.nodes.push(node({ name, op: 'Transpose', inputs: ['lm_head.MatMul.weight'], output: `${name}/output_0` }));
  } else if (isTied) {
    const name = '/model/embed_tokens/GatherBlockQuantized';
    const reshaped = '/model/embed_tokens/Reshape/output_0';
    const zeros = layout.hasZeros ? ['lm_head.MatMul.weight_zero_points'] : [];
    const inputs = [reshaped, 'input_ids', 'lm_head.MatMul.weight_scales', ...zeros];
    builder.nodes.push(
      node({ op: 'Reshape', inputs: ['lm_head.MatMul.weight_Q4', 'shape'], output: reshaped }),
      node({
        ...{ name, op: 'GatherBlockQuantized', inputs },
        ...{ output: `${name}/output_0`, attributes: { bits: 4, block_size: layout.block! } },
      }),
    );
  }
  return { file: onnxModel(builder.initializers, builder.nodes), meaning };
}

const LAYOUTS: Readonly<Record<string, Layout>> = {
  'projections of floats': {},
  'one product for queries, keys and values': { isPacked: true },
  'MatMulNBits in blocks of 16': { block: 16 },
  'MatMulNBits with zero points, packed': { isPacked: true, block: 32, hasZeros: true },
};

it.each(
  ['llama', 'qwen2', 'qwen3', 'gemma3', 'phi3'].flatMap((name) =>
    Object.keys(LAYOUTS).map((layout) => [name, layout] as const),
  ),
)('%s with %s', async (name, layout) => {
  const original = await load(`${data.path}/${name}`);
  const { file, meaning } = await built(original, LAYOUTS[layout]!);
  const dtype = LAYOUTS[layout]!.block ? 'q4' : 'fp32';
  const files = {
    'config.json': readFileSync(`${data.path}/${name}/config.json`),
    [`onnx/model${dtype === 'q4' ? '_q4' : ''}.onnx`]: file,
  };
  const onWarning = (warning: string) => expect.unreachable(warning);
  const model = await load(files, { dtype, onWarning });
  const expected = original.stateDict();
  for (const [key, entry] of Object.entries(model.stateDict())) {
    const values = meaning.get(key) ?? ((await expected[key]!.data()) as Float32Array);
    expect([key, ...(await entry.data())]).toEqual([key, ...values]);
  }
  if (!LAYOUTS[layout]!.block || LAYOUTS[layout]!.block! < 32) return;
  const packed = await load(files, { dtype, weights: 'auto', activations: 'float32', onWarning });
  const ids = { inputIds: [[3, 14, 15, 92, 6]] };
  const logits = async (each: LoadedModel) => (await each.forward(ids).logits!.data()) as Float32Array;
  const [a, b] = [await logits(packed), await logits(model)];
  const largest = Math.max(...b.map(Math.abs));
  for (const [i, value] of a.entries()) expect(Math.abs(value - b[i]!)).toBeLessThan(1e-4 * largest);
});
