// Florence-2 by the names of Microsoft's own code: one file of weights, and the four ONNX files that transformers.js reads.
// Graphs have the names of torch.onnx.export, for the parts of that code. The results are transformers' for the same
// weights.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsEntry, serializeSafetensors } from '../../src/io/safetensors.js';
import type { PromptModel } from '../../src/models/prompt-model.js';
import { transpose } from '../../src/nn/stored-layout.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { node, ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';
import { filesOf, referenceOf } from './reference.js';

const data = testData('families');
const LIMIT = 2e-4;
/** The placeholder of images in the reference, and the default one, which Microsoft's vocabulary does not have. */
const [IMAGE, DEFAULT_IMAGE] = [94, 51289];

/** Names of transformers as Microsoft's code has them. */
const toMicrosoft: readonly (readonly [RegExp, string])[] = [
  [/^model\.language_model\./, 'language_model.model.'],
  [/^model\.multi_modal_projector\.image_projection\.weight$/, 'image_projection'],
  [/^model\.multi_modal_projector\.image_position_embed\./, 'image_pos_embed.'],
  [/^model\.multi_modal_projector\./, ''],
  [/^model\.vision_tower\.convs\.(\d)\.conv\./, 'vision_tower.convs.$1.proj.'],
  [/^model\./, ''],
  [/_block\.(conv[12])\./, '_block.$1.fn.dw.'],
  [/_attn\.(qkv|proj)\./, '_attn.fn.$1.'],
  [/spatial_block\.norm1\./, 'spatial_block.window_attn.norm.'],
  [/channel_block\.norm1\./, 'channel_block.channel_attn.norm.'],
  [/_block\.norm2\./, '_block.ffn.norm.'],
  [/_block\.ffn\.fc/, '_block.ffn.fn.net.fc'],
];

interface Value {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

const zeros: Value = { shape: [1, 97], values: new Float32Array(97) };
let files: Record<string, Uint8Array>;
let weights: Map<string, Value>;
let reference: ReadonlyMap<string, SafetensorsEntry>;

beforeAll(async () => {
  const stored = await filesOf(data, 'florence2');
  reference = await referenceOf(data, 'florence2');
  const { tensors } = parseSafetensors(stored['model.safetensors'] as Uint8Array<ArrayBuffer>);
  weights = new Map(
    [...tensors].map(([name, entry]): [string, Value] => {
      const own = toMicrosoft.reduce((changed, [from, to]) => changed.replace(from, to), name);
      const values = Float32Array.from(entry.data());
      const { shape } = entry;
      if (own !== 'image_projection') return [own, { shape, values }];
      return [own, { shape: [...shape].reverse(), values: transpose(values, shape) }];
    }),
  );
  const config = JSON.parse(new TextDecoder().decode(stored['config.json']));
  const { tie_word_embeddings: _, image_token_id: __, ...others } = config;
  const { embed_dim, max_position_embeddings, max_temporal_embeddings, ...vision } = config.vision_config;
  others.vision_config = {
    ...vision,
    model_type: 'davit',
    dim_embed: embed_dim,
    image_pos_embed: { type: 'learned_abs_2d', max_pos_embeddings: max_position_embeddings },
    visual_temporal_embedding: { type: 'COSINE', max_temporal_embeddings },
    image_feature_source: ['spatial_avg_pool', 'temporal_avg_pool'],
  };
  others.text_config = { ...config.text_config, model_type: 'florence2_language' };
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const vocab = Object.fromEntries(Array.from({ length: 97 }, (_, id) => [`w${id}`, id]));
  const tokenizer = { version: '1.0', added_tokens: [], model: { type: 'WordLevel', vocab, unk_token: 'w3' } };
  files = { 'config.json': json(others), 'tokenizer.json': json(tokenizer) };
});

/** A graph of a wrapper's module: matrices of linear layers have lost their names. */
function graph(prefix: RegExp, wrapper: string): Uint8Array {
  const initializers: number[][] = [];
  const nodes: number[][] = [];
  const bytes = ({ values }: Value) => new Uint8Array(values.slice().buffer);
  for (const [name, value] of weights) {
    if (!prefix.test(name)) continue;
    const own = wrapper + name.replace(prefix, '');
    const { shape } = value;
    const isLinear = shape.length === 2 && /(proj|qkv|fc\d)\.weight$/.test(own);
    if (!isLinear) {
      initializers.push(tensor(own, shape, ONNX_TYPES.float, bytes(value)));
      continue;
    }
    const constant = `onnx::MatMul_${initializers.length}`;
    const turned = { shape: [...shape].reverse(), values: transpose(value.values, shape) };
    initializers.push(tensor(constant, turned.shape, ONNX_TYPES.float, bytes(turned)));
    const path = own.replace(/\.weight$/, '').replace(/\.(?!\d)/g, '/');
    nodes.push(node({ name: `/${path}/MatMul`, op: 'MatMul', inputs: ['x', constant], output: `/${path}/y` }));
  }
  return onnxModel(initializers, nodes);
}

describe.each(['one file of weights', 'four ONNX files'])('%s', (kind) => {
  let model: PromptModel;
  const warnings: string[] = [];

  beforeAll(async () => {
    const own =
      kind === 'four ONNX files'
        ? {
            'onnx/vision_encoder.onnx': graph(/^(?!language_model)/, 'model.'),
            'onnx/embed_tokens.onnx': graph(/^language_model\.model\.shared\./, 'embed_tokens.'),
            'onnx/encoder_model.onnx': graph(/^language_model\.model\.encoder\./, 'encoder.'),
            'onnx/decoder_model_merged.onnx': graph(/^language_model\.model\.decoder\./, 'decoder.'),
          }
        : {
            'model.safetensors': serializeSafetensors(
              new Map(
                [...weights, ['language_model.final_logits_bias', zeros] as const].map(([name, { shape, values }]) => [
                  name,
                  { dtype: 'F32', shape, data: values },
                ]),
              ),
            ),
          };
    const onWarning = (warning: string) => void warnings.push(warning);
    model = (await loadModel(
      await deviceFor(isas.at(-1) as string, 2),
      { ...files, ...own },
      { onWarning },
    )) as PromptModel;
  });
  afterAll(() => model.dispose());

  it('gives the logits of transformers', () => {
    expect(warnings).toEqual([]);
    const rows = (name: string) => {
      const { shape, data: values } = { shape: reference.get(name)!.shape, data: reference.get(name)!.data() };
      const [count, length] = shape as [number, number];
      return Array.from({ length: count }, (_, i) => [...values.slice(i * length, (i + 1) * length)].map(Number));
    };
    const pixels = reference.get('pixel_values') as SafetensorsEntry;
    const inputIds = rows('input_ids').map((row) => row.map((id) => (id === IMAGE ? DEFAULT_IMAGE : id)));
    const pixelValues = model.device.tensor(Float32Array.from(pixels.data()), pixels.shape);
    const inputs = { inputIds, attentionMask: rows('attention_mask'), labels: rows('labels'), pixelValues };
    const logits = model.forward(inputs).logits!.dataSync();
    const expected = reference.get('logits')!.data();
    const most = largest(expected as Float32Array);
    for (const [i, value] of logits.entries()) expect(Math.abs(value - Number(expected[i]))).toBeLessThan(LIMIT * most);
  });

  it("adds the processor's tokens and one for images to BART's tokenizer", () => {
    const { tokenizer } = model;
    const ids = ['<od>', '<loc_0>', '<loc_999>', '<and>', '<image>'].map((token) => tokenizer?.tokenToId(token));
    expect(ids).toEqual([97, 101, 1100, 1120, 1121]);
  });
});
