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

const data = testData('families');
const device = await deviceFor(isas.at(-1) as string, 2);
const models: LoadedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

async function load(...given: Parameters<typeof loadModel> extends [unknown, ...infer Rest] ? Rest : never) {
  const model = await loadModel(device, ...given);
  models.push(model);
  return model;
}

interface Layout {
  /** True if queries, keys and values are one product. */
  readonly isPacked?: boolean;
  /** True if the two inputs of a gate are one product (fuse_mlp_gate_up). */
  readonly hasOneGate?: boolean;
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

/** Writes the graph of a model as the builder does, and notes the values of each weight. */
class ModelWriter {
  readonly meaning: Meaning = new Map();
  readonly #builder: Builder;
  /** Gemma's norms are stored plus one. */
  readonly #plus: number;

  constructor(
    private readonly state: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>,
    private readonly config: LoadedModel['config'],
    private readonly layout: Layout,
  ) {
    this.#builder = new Builder(layout);
    this.#plus = config.model_type === 'gemma3_text' ? 1 : 0;
  }

  write(): Uint8Array {
    const layers = Number(this.config.num_hidden_layers);
    const isTied = this.config.tie_word_embeddings === true;
    const { shape, values } = this.state.get('model.embed_tokens.weight')!;
    if (!isTied) this.#builder.floats('model.embed_tokens.weight', shape, values);
    for (let layer = 0; layer < layers; layer++) this.#layer(`model.layers.${layer}`);
    this.#norm(`model.layers.${layers}.final_norm_layernorm`, 'model.norm');
    this.#head(isTied);
    return onnxModel(this.#builder.initializers, this.#builder.nodes);
  }

  #layer(at: string) {
    for (const each of ['input', 'post_attention', 'pre_feedforward', 'post_feedforward'])
      if (this.#has(`${at}.${each}_layernorm`)) this.#norm(`${at}.${each}_layernorm`, `${at}.${each}_layernorm`);
    this.#queriesKeysValues(at);
    for (const each of ['q_norm', 'k_norm'])
      if (this.#has(`${at}.self_attn.${each}`)) this.#norm(`${at}.attn.${each}.layernorm`, `${at}.self_attn.${each}`);
    const { num_attention_heads: heads, num_key_value_heads: keys } = this.config as Record<string, number>;
    const attributes = { num_heads: heads!, kv_num_heads: keys! };
    const name = `/${at.replace('.', '/')}/attn/GroupQueryAttention`;
    this.#builder.nodes.push(
      node({ name, op: 'GroupQueryAttention', inputs: [], output: `${name}/output_0`, attributes }),
    );
    this.#linear(`${at}.attn.o_proj`, `${at}.self_attn.o_proj`);
    this.#gateAndUp(`${at}.mlp`);
    this.#linear(`${at}.mlp.down_proj`, `${at}.mlp.down_proj`);
  }

  #queriesKeysValues(at: string) {
    const parts = ['q', 'k', 'v'].map((each) => `${at}.self_attn.${each}_proj`);
    const names = this.#has(`${at}.self_attn.qkv_proj`) ? [`${at}.self_attn.qkv_proj`] : parts;
    if (!this.layout.isPacked || names.length === 1) {
      for (const name of names) this.#linear(name.replace('.self_attn.', '.attn.'), name);
      return;
    }
    const matrices = names.map((name) => this.#matrix(name));
    const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
    const { columns } = matrices[0]!;
    const whole = { rows, columns, values: joined(...matrices.map(({ values }) => values)) };
    const values = this.#builder.product(`${at}.attn.qkv_proj`, whole);
    let first = 0;
    for (const [i, matrix] of matrices.entries()) {
      this.meaning.set(`${names[i]}.weight`, values.slice(first, first + matrix.values.length));
      first += matrix.values.length;
    }
    const biases = names.flatMap((name) => this.state.get(`${name}.bias`)?.values ?? []);
    if (biases.length > 0) this.#builder.bias(`${at}.attn.qkv_proj`, joined(...biases));
  }

  #gateAndUp(at: string) {
    if (this.layout.hasOneGate) return this.#gateUp(at);
    if (!this.#has(`${at}.gate_up_proj`)) {
      for (const each of ['gate_proj', 'up_proj']) this.#linear(`${at}.${each}`, `${at}.${each}`);
      return;
    }
    const { rows, columns, values } = this.#matrix(`${at}.gate_up_proj`);
    const half = { rows: rows / 2, columns };
    const gate = this.#builder.product(`${at}.gate_proj`, { ...half, values: values.slice(0, values.length / 2) });
    const up = this.#builder.product(`${at}.up_proj`, { ...half, values: values.slice(values.length / 2) });
    this.meaning.set(`${at}.gate_up_proj.weight`, joined(gate, up));
  }

  #gateUp(at: string) {
    const [gate, up] = ['gate_proj', 'up_proj'].map((each) => this.#matrix(`${at}.${each}`));
    const { rows, columns } = gate!;
    const whole = { rows: 2 * rows, columns, values: joined(gate!.values, up!.values) };
    const values = this.#builder.product(`${at}.gate_up_proj`, whole);
    for (const [i, each] of ['gate_proj', 'up_proj'].entries())
      this.meaning.set(`${at}.${each}.weight`, values.slice(i * rows * columns, (i + 1) * rows * columns));
  }

  #head(isTied: boolean) {
    const head = this.#builder.product('lm_head', this.#matrix(isTied ? 'model.embed_tokens' : 'lm_head'));
    for (const name of isTied ? ['model.embed_tokens.weight', 'lm_head.weight'] : ['lm_head.weight'])
      this.meaning.set(name, head);
    if (!isTied) return;
    const { block, hasZeros } = this.layout;
    const { nodes } = this.#builder;
    if (!block) {
      const name = '/model/embed_tokens/Transpose';
      nodes.push(node({ name, op: 'Transpose', inputs: ['lm_head.MatMul.weight'], output: `${name}/output_0` }));
      return;
    }
    const name = '/model/embed_tokens/GatherBlockQuantized';
    const reshaped = '/model/embed_tokens/Reshape/output_0';
    const zeros = hasZeros ? ['lm_head.MatMul.weight_zero_points'] : [];
    const inputs = [reshaped, 'input_ids', 'lm_head.MatMul.weight_scales', ...zeros];
    const attributes = { bits: 4, block_size: block };
    nodes.push(
      node({ op: 'Reshape', inputs: ['lm_head.MatMul.weight_Q4', 'shape'], output: reshaped }),
      node({ name, op: 'GatherBlockQuantized', inputs, output: `${name}/output_0`, attributes }),
    );
  }

  #linear(path: string, given: string) {
    this.meaning.set(`${given}.weight`, this.#builder.product(path, this.#matrix(given)));
    const bias = this.state.get(`${given}.bias`);
    if (bias !== undefined) this.#builder.bias(path, bias.values);
  }

  #norm(path: string, given: string) {
    const { values } = this.state.get(`${given}.weight`)!;
    const plus = this.#plus;
    const stored = values.map((value) => value + plus);
    this.#builder.floats(`${path}.weight`, [values.length], stored);
    this.meaning.set(`${given}.weight`, plus ? values.map((value) => Math.fround(value + 1) - 1) : values);
  }

  #has(given: string): boolean {
    return this.state.has(`${given}.weight`);
  }

  #matrix(given: string): Matrix {
    const { shape, values } = this.state.get(`${given}.weight`)!;
    return { rows: shape[0]!, columns: shape[1] ?? 1, values };
  }
}

/** Writes a model as the builder does. */
async function built(model: LoadedModel, layout: Layout): Promise<{ file: Uint8Array; meaning: Meaning }> {
  const state = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  for (const [name, entry] of Object.entries(model.stateDict()))
    state.set(name, { shape: entry.shape, values: (await entry.data()) as Float32Array });
  const writer = new ModelWriter(state, model.config, layout);
  const file = writer.write();
  return { file, meaning: writer.meaning };
}

const LAYOUTS: Readonly<Record<string, Layout>> = {
  'projections of floats': {},
  'one product for queries, keys and values': { isPacked: true },
  'MatMulNBits in blocks of 16': { block: 16 },
  'MatMulNBits with zero points, packed': { isPacked: true, block: 32, hasZeros: true },
};
const ONE_GATE: Readonly<Record<string, Layout>> = {
  'one product for both inputs of a gate': { hasOneGate: true },
  'one product of MatMulNBits for both inputs of a gate': { hasOneGate: true, block: 32 },
};

it.each([
  ...['llama', 'qwen2', 'qwen3', 'gemma3', 'phi3'].flatMap((name) =>
    Object.entries(LAYOUTS).map(([title, layout]) => [name, title, layout] as const),
  ),
  ...Object.entries(ONE_GATE).map(([title, layout]) => ['llama', title, layout] as const),
])('%s with %s', async (name, _, layout) => {
  const original = await load(`${data.path}/${name}`);
  const { file, meaning } = await built(original, layout);
  const dtype = layout.block ? 'q4' : 'fp32';
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
  if (!layout.block || layout.block < 32) return;
  const packed = await load(files, { dtype, weights: 'auto', activations: 'float32', onWarning });
  const ids = { inputIds: [[3, 14, 15, 92, 6]] };
  const logits = async (each: LoadedModel) => (await each.forward(ids).logits!.data()) as Float32Array;
  const [a, b] = [await logits(packed), await logits(model)];
  const largest = Math.max(...b.map(Math.abs));
  for (const [i, value] of a.entries()) expect(Math.abs(value - b[i]!)).toBeLessThan(1e-4 * largest);
});

/** Names of the builder for modules that a family calls differently. Each pattern is a module of the checkpoint. */
const BUILDER_NAMES: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
  'families/lfm2': [
    [/\.operator_norm$/, '.operator_layernorm'],
    [/\.ffn_norm$/, '.ffn_layernorm'],
    [/\.self_attn\.out_proj$/, '.attn.o_proj.MatMul'],
    [/\.self_attn\.([qk])_layernorm$/, '.attn.$1_norm.layernorm'],
    [/\.self_attn\.(.)_proj$/, '.attn.$1_proj.MatMul'],
    [/\.feed_forward\.w1$/, '.mlp.gate_proj.MatMul'],
    [/\.feed_forward\.w3$/, '.mlp.up_proj.MatMul'],
    [/\.feed_forward\.w2$/, '.mlp.down_proj.MatMul'],
    [/\.conv\.(in|out)_proj$/, '.conv.$1_proj.MatMul'],
    [/^model\.embedding_norm$/, 'model.layers.4.final_norm_layernorm'],
  ],
  'families/hunyuan_v1_dense': [
    [/\.self_attn\.query_layernorm$/, '.attn.q_norm.layernorm'],
    [/\.self_attn\.key_layernorm$/, '.attn.k_norm.layernorm'],
    [/\.self_attn\.(.)_proj$/, '.attn.$1_proj.MatMul'],
    [/\.mlp\.(.+)_proj$/, '.mlp.$1_proj.MatMul'],
    [/^model\.norm$/, 'model.layers.3.final_norm_layernorm'],
  ],
  'families/phi': [
    [/\.self_attn\.dense$/, '.attn.o_proj.MatMul'],
    [/\.self_attn\.(.)_proj$/, '.attn.$1_proj.MatMul'],
    [/\.mlp\.(fc.)$/, '.mlp.$1.MatMul'],
    [/^lm_head$/, 'lm_head.MatMul'],
    [/^model\.final_layernorm$/, 'model.layers.3.final_norm_layernorm'],
  ],
};

it.each(Object.keys(BUILDER_NAMES))("uses a family's own names for the builder's: %s", async (folder) => {
  const { path } = testData(folder);
  const original = await load(path, { onWarning() {} });
  const builder = new Builder({});
  for (const [name, { shape, data: values }] of Object.entries(original.stateDict())) {
    const [, module = '', kind = ''] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
    const [pattern, replacement] = BUILDER_NAMES[folder]!.find(([each]) => each.test(module)) ?? [/$/, ''];
    const built = module.replace(pattern, replacement);
    const numbers = (await values()) as Float32Array;
    const [rows, columns] = shape as [number, number];
    if (!built.endsWith('.MatMul')) builder.floats(`${built}.${kind}`, shape, numbers);
    else if (kind === 'bias') builder.bias(built.replace(/\.MatMul$/, ''), numbers);
    else builder.product(built.replace(/\.MatMul$/, ''), { rows, columns, values: numbers });
  }
  const files = {
    'config.json': readFileSync(`${path}/config.json`),
    'model.onnx': onnxModel(builder.initializers, builder.nodes),
  };
  const model = await load(files, { onWarning: (warning: string) => expect.unreachable(warning) });
  const expected = original.stateDict();
  for (const [key, entry] of Object.entries(model.stateDict()))
    expect([key, ...(await entry.data())]).toEqual([key, ...(await expected[key]!.data())]);
});
