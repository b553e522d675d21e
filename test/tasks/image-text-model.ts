// Small models of images and text with tokenizers of words, as folders that a user has.
import type { Device } from '../../src/index.js';
import type { CausalModel } from '../../src/models/causal-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import type { ImageBytes } from '../../src/pretrained/processors/image.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

interface Kind {
  /** Tokens by id, that are not words. */
  readonly tokens: Readonly<Record<number, string>>;
  /** The text of an image in a template. */
  readonly mark: string;
  readonly preprocessor: object;
  /** Sizes of pictures for a model that reads some sizes only. */
  readonly sizes?: readonly (readonly [width: number, height: number])[];
}

const size = { height: 24, width: 24 };

export const kinds = {
  gemma3_vl: {
    tokens: { 94: '<image_soft_token>', 95: '<start_of_image>', 96: '<end_of_image>' },
    mark: '<start_of_image>',
    preprocessor: { size },
  },
  gemma4_vl: {
    tokens: { 94: '<|image|>', 95: '<|image>', 96: '<image|>' },
    mark: '<|image|>',
    preprocessor: { patch_size: 4, pooling_kernel_size: 2, max_soft_tokens: 70, do_resize: false },
    // The model has positions for 8 rows and columns.
    sizes: [
      [32, 24],
      [16, 32],
      [24, 24],
    ],
  },
  smolvlm: {
    tokens: {
      94: '<image>',
      80: '<fake_token_around_image>',
      81: '<global-img>',
      82: '<row_1_col_1>',
      83: '<row_1_col_2>',
      84: '<row_2_col_1>',
      85: '<row_2_col_2>',
    },
    mark: '<image>',
    preprocessor: { size: { longest_edge: 40 }, max_image_size: { longest_edge: 24 } },
  },
  paligemma: { tokens: { 94: '<image>' }, mark: '<image>', preprocessor: { size } },
  qwen2_vl: {
    tokens: { 17: '<|image_pad|>', 15: '<|vision_start|>', 16: '<|vision_end|>' },
    mark: '<|vision_start|><|image_pad|><|vision_end|>',
    preprocessor: { patch_size: 2, size: { shortest_edge: 16, longest_edge: 100 } },
  },
  qwen2_5_vl: {
    tokens: { 17: '<|image_pad|>', 15: '<|vision_start|>', 16: '<|vision_end|>' },
    mark: '<|vision_start|><|image_pad|><|vision_end|>',
    preprocessor: { patch_size: 2, size: { shortest_edge: 16, longest_edge: 300 } },
  },
  qwen3_vl: {
    tokens: { 94: '<|image_pad|>', 92: '<|vision_start|>', 93: '<|vision_end|>' },
    mark: '<|vision_start|><|image_pad|><|vision_end|>',
    preprocessor: { patch_size: 4, size: { shortest_edge: 64, longest_edge: 300 } },
  },
  qwen3_5_vl: {
    tokens: { 94: '<|image_pad|>', 92: '<|vision_start|>', 93: '<|vision_end|>' },
    mark: '<|vision_start|><|image_pad|><|vision_end|>',
    preprocessor: { patch_size: 4, size: { shortest_edge: 64, longest_edge: 300 } },
  },
  lfm2_vl: {
    tokens: {
      94: '<image>',
      80: '<|image_start|>',
      81: '<|image_end|>',
      82: '<|img_thumbnail|>',
      83: '<|img_row_1_col_1|>',
      84: '<|img_row_1_col_2|>',
      85: '<|img_row_2_col_1|>',
    },
    mark: '<image>',
    preprocessor: {
      encoder_patch_size: 4,
      tile_size: 16,
      min_image_tokens: 2,
      max_image_tokens: 4,
      max_tiles: 2,
    },
  },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof kinds;

const templateOf = (mark: string) =>
  `{% for m in messages %}{{ 'w5' if m['role'] == 'user' else 'w6' }} {% if m['content'] is string %}{{ m['content'] }} ` +
  `{% else %}{% for p in m['content'] %}{% if p['type'] == 'image' %}${mark}{% else %}{{ p['text'] }} {% endif %}` +
  '{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}w6 {% endif %}';

/** The files of the model, its tokenizer, template and processor, with room for conversations. */
export async function imageTextFiles(name: KindName): Promise<Record<string, Uint8Array>> {
  const { tokens, mark, preprocessor } = kinds[name] as Kind;
  const files = await filesOf(testData('families'), name);
  const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const size = config.text_config.vocab_size ?? 97;
  const vocab = Object.fromEntries(Array.from({ length: size }, (_, id) => [tokens[id] ?? `w${id}`, id]));
  const added = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokenizer = {
    version: '1.0',
    added_tokens: Object.entries(tokens).map(([id, content]) => ({ id: Number(id), content, ...added })),
    pre_tokenizer: { type: 'Whitespace' },
    model: { type: 'WordLevel', vocab, unk_token: 'w0' },
  };
  config.text_config.max_position_embeddings = 512;
  return {
    ...files,
    'config.json': json(config),
    'tokenizer.json': json(tokenizer),
    'tokenizer_config.json': json({ chat_template: templateOf(mark) }),
    'preprocessor_config.json': json(preprocessor),
  };
}

/** The model of `imageTextFiles`. */
export async function imageTextModel(name: KindName, device?: Device): Promise<CausalModel> {
  const files = await imageTextFiles(name);
  return (await loadModel(device ?? (await deviceFor(isas.at(-1) as string, 2)), files)) as unknown as CausalModel;
}

/** Pictures in colour, in grey, and with transparency. */
export function picturesFor(name: KindName): ImageBytes[] {
  const { sizes = SIZES } = kinds[name] as Kind;
  return sizes.map(([width, height], i) => picture(width, height, [3, 1, 4][i] as number, i + 1));
}

const SIZES = [
  [37, 29],
  [20, 31],
  [26, 26],
] as const;

/** Slopes with some noise. */
export function picture(width: number, height: number, channels: number, seed: number): ImageBytes {
  const data = Uint8Array.from(
    { length: width * height * channels },
    (_, i) => (i * (7 + seed) + ((i * i) % 97)) % 256,
  );
  return { width, height, data };
}
