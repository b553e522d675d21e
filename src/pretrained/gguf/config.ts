// Derives a config.json from a GGUF file. Families define their own entries in models/families/.

import { FormatError } from '../../core/errors.js';
import { type ByteSource, bytesOf } from '../../io/byte-source.js';
import type { Gguf } from '../../io/gguf.js';
import type { Family, GgufReadable, GgufSettings } from '../../models/family.js';
import type { Json } from '../../models/model-config.js';
import type { Config } from '../config.js';
import type { GgufMetadata } from './metadata.js';

/** Throws FormatError if the file lacks a value that the model needs, and for unsupported kinds of models. */
export function ggufConfig(
  gguf: Gguf,
  metadata: GgufMetadata,
  type: string,
  family: GgufReadable,
  file: GgufSettings,
): Config {
  refuseUnsupported(gguf, metadata, family);
  return {
    architectures: [classOf(family, gguf)],
    model_type: type,
    ...(family.gguf.config?.(file) ?? file.decoder()),
    vocab_size: file.rows('token_embd.weight'),
    ...specialIds(metadata),
  };
}

/** Reads the settings of a file. */
export async function ggufSettings(
  gguf: Gguf,
  metadata: GgufMetadata,
  family: Family,
  source: ByteSource,
): Promise<GgufSettings> {
  return new Settings(gguf.tensors, metadata, family, await divisorsOf(gguf, source));
}

/** Returns the settings of a file by its metadata alone, without tensors. */
export function settingsOf(metadata: GgufMetadata, family: Family): GgufSettings {
  return new Settings(new Map(), metadata, family, new Map());
}

/** Returns the name of transformers' class. */
function classOf({ className, generationClass: decoderClass, gguf }: GgufReadable, { tensors }: Gguf): string {
  if (!gguf.isEncoder) return decoderClass ?? `${className}ForCausalLM`;
  return tensors.has('cls.output.weight') ? `${className}ForSequenceClassification` : `${className}Model`;
}

function refuseUnsupported({ tensors }: Gguf, metadata: GgufMetadata, family: GgufReadable): void {
  const experts = metadata.architectureNumber('expert_count') ?? 0;
  const hasExperts = JSON.stringify([family.gguf.names, family.gguf.joined ?? []]).includes('_exps');
  if (experts > 0 && !hasExperts)
    throw new FormatError(`the model has ${experts} experts, which is not supported for ${metadata.architecture}`);
  const adapter = metadata.text('general.type');
  if (adapter !== undefined && adapter !== 'model')
    throw new FormatError(`general.type is ${adapter}, expected a model`);
  const layers = metadata.architectureNumber('block_count') ?? 0;
  if (layers > tensors.size)
    throw new FormatError(`block_count is ${layers}, but the file has only ${tensors.size} tensors`);
}

/** Number of layers of the model itself. Layers that predict further tokens follow them in the file. */
export function layersOf(metadata: GgufMetadata): number {
  return metadata.needed('block_count') - (metadata.architectureNumber('nextn_predict_layers') ?? 0);
}

const headIds = { bos_token_id: 'bos', eos_token_id: 'eos', pad_token_id: 'padding' } as const;

/** The default ids of llama.cpp for files without them. */
const usualIds: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  llama: { bos_token_id: 1, eos_token_id: 2 },
  t5: { eos_token_id: 1, pad_token_id: 0 },
  bert: { pad_token_id: 0 },
};

function specialIds(metadata: GgufMetadata): Record<string, number | null> {
  const usual = usualIds[metadata.text('tokenizer.ggml.model') ?? ''] ?? {};
  return Object.fromEntries(
    Object.entries(headIds).map(([name, key]) => [
      name,
      metadata.whole(`tokenizer.ggml.${key}_token_id`) ?? usual[name] ?? null,
    ]),
  );
}

/** Returns the shortest decimal number that rounds to a float32: 1e-6, not 9.999999974752427e-7. */
function decimal(value: number): number {
  if (Number.isInteger(value)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

class Settings implements GgufSettings {
  /** `divisors` has the divisors of rotary frequencies, by the tensor's name. */
  constructor(
    readonly tensors: Gguf['tensors'],
    private readonly metadata: GgufMetadata,
    private readonly family: Family,
    private readonly divisors: ReadonlyMap<string, readonly number[]>,
  ) {}

  get architecture(): string {
    return this.metadata.architecture;
  }

  get layers(): number {
    return layersOf(this.metadata);
  }

  get ropeDivisors(): readonly number[] | undefined {
    return this.divisors.get('rope_freqs.weight');
  }

  number(name: string): number | undefined {
    const value = this.metadata.architectureNumber(name);
    return value === undefined ? undefined : decimal(value);
  }

  needed(name: string): number {
    return decimal(this.metadata.needed(name));
  }

  ofLayers(name: string): readonly number[] | undefined {
    const listed = this.metadata.listed(name);
    if (listed !== undefined) return listed;
    const value = this.number(name);
    return value === undefined ? undefined : Array<number>(this.layers).fill(value);
  }

  flag(name: string): boolean | undefined {
    return this.metadata.flag(`${this.architecture}.${name}`);
  }

  text(name: string): string | undefined {
    return this.metadata.text(`${this.architecture}.${name}`);
  }

  texts(name: string): readonly string[] | undefined {
    return this.metadata.texts(name)?.toArray();
  }

  pattern(name: string): number | readonly boolean[] | undefined {
    return this.metadata.pattern(name);
  }

  layerTypes(period: number): readonly ('sliding_attention' | 'full_attention')[] {
    const pattern = this.pattern('attention.sliding_window_pattern') ?? period;
    const isNear = (layer: number) =>
      typeof pattern === 'number' ? (layer + 1) % pattern !== 0 : pattern[layer] === true;
    const hasWindow = (this.number('attention.sliding_window') ?? 0) > 0;
    return Array.from({ length: this.layers }, (_, layer) =>
      hasWindow && isNear(layer) ? 'sliding_attention' : 'full_attention',
    );
  }

  hasTensor(name: string): boolean {
    return [...this.tensors.keys()].some((tensorName) => tensorName.endsWith(`.${name}`));
  }

  rows(tensor: string): number {
    const rows = this.tensors.get(tensor)?.shape[0];
    if (rows === undefined) throw new FormatError(`the file has no tensor ${tensor}`);
    return rows;
  }

  decoder(): Json {
    const [heads, width] = [this.needed('attention.head_count'), this.needed('embedding_length')];
    const headSize = this.number('attention.key_length') ?? Math.floor(width / heads);
    if ((this.number('attention.value_length') ?? headSize) !== headSize)
      throw new FormatError('keys and values of heads differ in size: such models are not supported');
    return {
      hidden_size: width,
      intermediate_size: Math.max(...(this.ofLayers('feed_forward_length') ?? [this.needed('feed_forward_length')])),
      num_hidden_layers: this.layers,
      num_attention_heads: heads,
      // Layers without attention have no heads.
      num_key_value_heads: Math.max(...(this.ofLayers('attention.head_count_kv') ?? [heads])),
      head_dim: headSize,
      max_position_embeddings: this.needed('context_length'),
      rms_norm_eps: this.number('attention.layer_norm_rms_epsilon') ?? this.needed('attention.layer_norm_epsilon'),
      tie_word_embeddings: !this.tensors.has('output.weight'),
      attention_bias: this.hasTensor('attn_q.bias'),
      mlp_bias: this.tensors.has('blk.0.ffn_gate.bias'),
      ...this.rope(headSize),
    };
  }

  rope(headSize: number): Json {
    const theta = this.number('rope.freq_base') ?? 10000;
    const turning = this.number('rope.dimension_count') ?? headSize;
    // The file's share must replace the default of the family's config.
    const hasDefault = this.family.rope?.partial !== undefined;
    const partial = turning < headSize || hasDefault ? { partial_rotary_factor: turning / headSize } : {};
    const fileScaling = this.#ropeScaling();
    // llama.cpp rotates parts of heads in every family. transformers does so only with scaled frequencies in some.
    const isPlain =
      fileScaling.rope_type === 'default' && turning < headSize && this.family.rope?.partial === undefined;
    const scaling = { ...(isPlain ? { rope_type: 'linear', factor: 1 } : fileScaling), ...partial };
    if (this.family.rope?.sliding === undefined)
      return { rope_theta: theta, ...partial, rope_parameters: { rope_theta: theta, ...scaling } };
    const near = this.number('rope.freq_base_swa') ?? 10000;
    return {
      rope_parameters: {
        full_attention: { rope_theta: theta, ...scaling },
        sliding_attention: { rope_type: 'default', rope_theta: near, ...partial },
      },
    };
  }

  /** Divisors of frequencies, as in Llama 3.1 and Phi-3, are tensors of the file. */
  #ropeScaling(): Json {
    const scalingNumber = (name: string) => this.number(`rope.scaling.${name}`);
    const original = scalingNumber('original_context_length') ?? this.needed('context_length');
    const listed = this.ropeDivisors;
    if (listed !== undefined) return longRope(listed, listed, original, 1);
    const [short, long] = ['short', 'long'].map((name) => this.divisors.get(`rope_factors_${name}.weight`));
    if (short !== undefined && long !== undefined)
      return longRope(short, long, original, scalingNumber('attn_factor') ?? 1);
    const { metadata } = this;
    const type =
      metadata.text(`${metadata.architecture}.rope.scaling.type`) ??
      (scalingNumber('factor') === undefined ? 'none' : 'linear');
    const factor = scalingNumber('factor') ?? this.number('rope.scale_linear') ?? 1;
    if (type === 'none' || (type === 'linear' && factor <= 1)) return { rope_type: 'default' };
    if (type === 'linear') return { rope_type: 'linear', factor };
    if (type === 'longrope') return { rope_type: 'default' }; // without divisors there is no scaling
    if (type !== 'yarn') throw new FormatError(`rope.scaling.type is ${type}, expected none, linear, yarn or longrope`);
    const yarnSettings = {
      attention_factor: scalingNumber('yarn_attn_factor') ?? scalingNumber('attn_factor'),
      beta_fast: scalingNumber('yarn_beta_fast'),
    };
    const all = Object.entries({ ...yarnSettings, beta_slow: scalingNumber('yarn_beta_slow') });
    const known = Object.fromEntries(all.filter(([, value]) => value !== undefined));
    return { rope_type: 'yarn', factor, original_max_position_embeddings: original, ...known };
  }
}

function longRope(short: readonly number[], long: readonly number[], original: number, amplitude: number): Json {
  return {
    rope_type: 'longrope',
    short_factor: short,
    long_factor: long,
    original_max_position_embeddings: original,
    attention_factor: amplitude,
  };
}

const DIVISORS = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'];
/** Maximum for half of a head. */
const MAX_DIVISORS = 1 << 16;

async function divisorsOf({ tensors }: Gguf, source: ByteSource): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const name of DIVISORS) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const count = tensor.shape.reduce((product, n) => product * n, 1);
    if (tensor.type !== 'F32' || count > MAX_DIVISORS)
      throw new FormatError(
        `tensor ${name} has ${count} numbers of type ${tensor.type}, expected half a head's of F32`,
      );
    const bytes = (await bytesOf(source, tensor.position, tensor.byteLength)).slice(); // aligned
    found.set(name, Array.from(new Float32Array(bytes.buffer)));
  }
  return found;
}
