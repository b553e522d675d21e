// A family: everything about a `model_type` in one object, at the end of its file, after its class. A new family needs
// that file and a line in the registry.

import type { Gguf } from '../io/gguf.js';
import type { Json, ModelConfig } from './model-config.js';
import type { FamilyContext, PretrainedModel } from './pretrained-model.js';

export interface Family {
  readonly model: new (context: FamilyContext) => PretrainedModel;
  /**
   * The encoder without the decoder, if transformers has such classes: `…EncoderModel` for vectors, and one for labels
   * of tokens or sounds.
   */
  readonly encoder?: new (
    context: FamilyContext,
  ) => PretrainedModel;
  /** The ending of classes that have the encoder only, whatever `is_encoder_decoder` says. Default: none. */
  readonly encoderOnly?: 'ForTokenClassification' | 'ForAudioClassification';
  /** The model of configs with `is_decoder`, without an encoder to attend to. Default: `model`. */
  readonly decoder?: new (
    context: FamilyContext,
  ) => PretrainedModel;
  /** Models by the `model_type` of `text_config`, if they differ from `model`. */
  readonly variants?: Readonly<Record<string, new (context: FamilyContext) => PretrainedModel>>;
  /** Prefix of transformers' class names, such as `Bert` of BertModel. */
  readonly className: string;
  /** The class that generates text; null if there is none. Default: the prefix and `ForCausalLM`. */
  readonly generationClass?: string | null;
  /**
   * The `model_type` of a family that computes the same for text alone, if transformers has no class with a head for this
   * one.
   */
  readonly sameForText?: string;
  /** The class that classifies texts or sounds. Default: the prefix and `ForSequenceClassification`. */
  readonly classificationClass?: string;
  /** The class that answers questions about a text. Default: the prefix and `ForQuestionAnswering`. */
  readonly questionAnsweringClass?: string;
  /**
   * transformers' defaults for settings that a config.json lacks: of the architecture, dropout and special tokens. Old
   * files lack newer settings. Configs of the parts of CLIP and SigLIP contain only differences from the defaults. Null
   * stands for a setting that is derived from others.
   */
  readonly defaults: Json;
  /** Derives settings from others. `config` has the defaults already; `fileConfig` is the content of the file. */
  readonly complete?: (config: Record<string, unknown>, fileConfig: Json) => void;
  /** True if a layer attends within a window. Newer files have `layer_types` instead. */
  readonly isSliding?: (layer: number, config: Json) => boolean;
  /** The rotary embedding of queries and keys. */
  readonly rope?: RopeDefaults;
  /** Configs of nested models by key, and their model types. The first one of a list is the default. */
  readonly parts?: Readonly<Record<string, string | readonly string[]>>;
  /** The head of an encoder alone, in models that compare texts with images or sounds. Their config has it in `parts`. */
  readonly towerHead?: 'projection' | 'none';
  /**
   * True if it reads images beside text. Its `text_config` is that of its language model, which is loaded alone for any
   * other head than its own.
   */
  readonly readsImages?: boolean;
  /** True if older files have the settings of its language model beside `vision_config`, not in `text_config`. */
  readonly hadFlatConfig?: boolean;
  /**
   * Converts an older name of a tensor, or the name of a model in memory, to that in checkpoints. Default: the same
   * name.
   */
  readonly fileName?: (name: string) => string;
  /** Full names of matrices that older files store as [in, out]. Current files store them as [out, in]. */
  readonly transposedNames?: readonly string[];
  /**
   * Settings that the names of a file's tensors imply. They have precedence over `defaults`, but not over config.json.
   */
  readonly impliedBy?: (names: readonly string[]) => Json;
  /**
   * Special tokens that its processor adds to the tokenizer, in this order, if the tokenizer lacks the last of them.
   */
  readonly addedTokens?: readonly string[];
  /** Kind of its vocab.txt, or of its vocab.json and merges.txt, for folders without tokenizer.json. */
  readonly vocabulary?: 'bert' | 'gpt2' | 'roberta' | 'blenderbot' | 'ctc' | 'vits';
  /** Layout of its GGUF files, if there are any. */
  readonly gguf?: GgufFamily;
}

/** Defaults of the rotary embedding, for a config.json that does not describe it. */
export interface RopeDefaults {
  /** Base of the frequencies, and its name in files before transformers 5. Default name: `rope_theta`. */
  readonly theta: number;
  readonly thetaName?: string;
  /**
   * Share of a head that rotates, and its name in older files. Default: all of it, and a share in config.json counts
   * only with scaled frequencies, as in transformers; `partial_rotary_factor`.
   */
  readonly partial?: number;
  readonly partialName?: string;
  /** Number of pairs that rotate by frame, row and column (Qwen-VL's `mrope_section`). Default: none. */
  readonly sections?: readonly number[];
  /** Other names of values of `rope_type`. */
  readonly typeNames?: Readonly<Record<string, string>>;
  /** Settings of layers with a window, if they differ. `isScaled` is true if `rope_scaling` applies to them, too. */
  readonly sliding?: { readonly theta: number; readonly thetaName: string; readonly isScaled: boolean };
}

/** The form of a family in GGUF files. */
export interface GgufFamily {
  /**
   * Names in a GGUF file and in a checkpoint of transformers, without `.weight` and `.bias`, or whole. A star is a
   * layer's index. A number sign is an expert's index: the file has the matrices of all experts in one tensor.
   */
  readonly names: Readonly<Record<string, string>>;
  /** Weights that a file holds as several tensors, or in another order. */
  readonly joined?: readonly GgufJoin[];
  /**
   * Tensors that checkpoints store with other values or in another shape, by whole names with stars. A `logarithm` is
   * that of the negated values (A_log). `taps` belong to a depthwise convolution, [channels, 1, taps]. A `row` is a
   * matrix of one row.
   */
  readonly stored?: Readonly<Record<string, 'logarithm' | 'vector' | 'taps' | 'row'>>;
  /**
   * Tensors whose heads store the two features of a rotated pair side by side; transformers stores them in two halves.
   */
  readonly pairedRows?: readonly string[];
  /** True if all norms in the file hold 1 + weight. A list names the norms that do. */
  readonly plusOne?: boolean | readonly string[];
  /** Matrices that transformers stores transposed. */
  readonly inOut?: readonly string[];
  /** Other layouts: of files that have a tensor of this name, and of models with such a config. */
  readonly variants?: readonly {
    readonly tensor: string;
    readonly isOf?: (config: ModelConfig) => boolean;
    readonly gguf: GgufFamily;
  }[];
  /** True for encoders, whose token vectors are pooled. */
  readonly isEncoder?: boolean;
  /**
   * Makes the config.json for a file, with `architectures` if they are unusual. Default: that of decoders with rotary
   * positions.
   */
  readonly config?: (file: GgufSettings) => Json;
  /**
   * Returns the settings that `saveGguf` writes. With `Family.rope`, they are added to those of all decoders. Throws
   * ArgumentError for a model that llama.cpp would compute in another way. Default: `saveGguf` refuses the family.
   */
  readonly saved?: (config: ModelConfig) => Readonly<Record<string, GgufNumber>>;
  /** True if its files always have divisors of frequencies for short and for long texts, even if these are equal. */
  readonly hasBothDivisors?: boolean;
  /** True if its files tell if YaRN truncates. llama.cpp has no such setting, and always truncates. */
  readonly tellsYarnTruncation?: boolean;
  /** True if llama.cpp needs an output matrix, so that `saveGguf` writes tied embeddings twice. */
  readonly needsOutput?: boolean;
  /** The value of `general.architecture` that `saveGguf` writes for a config. Default: that of the registry. */
  readonly architecture?: (config: ModelConfig) => string | null;
  /** Settings of a model by Llama's names, for `saveGguf`. Default: its config has these names. */
  readonly usual?: (config: ModelConfig) => Json;
  /**
   * Numbers of rows in which `saveGguf` writes tensors that checkpoints store as vectors, by whole names with stars.
   * Default: such a tensor is a vector in the file, too.
   */
  readonly rows?: (config: ModelConfig) => Readonly<Record<string, number>>;
  /** Tables that `saveGguf` extends to the size of the vocabulary by copies of their first row, by whole names. */
  readonly extended?: readonly string[];
  /**
   * Factors of tensors that `saveGguf` writes, by whole names with stars: of all values, or of each row. llama.cpp knows
   * no such factors, so that its files contain them.
   */
  readonly factors?: (config: ModelConfig) => Readonly<Record<string, number | readonly number[]>>;
}

/** A weight that a GGUF file stores in several tensors, or with another order of rows or columns. */
export interface GgufJoin {
  /** The whole name in a checkpoint. */
  readonly name: string;
  /** Patterns with suffix. Each is [out, in], or [experts, out, in]. Biases are [out] or [experts, out]. */
  readonly of: readonly string[];
  /** True if the weight's rows alternate between the tensors. Default: they are concatenated, for each expert. */
  readonly alternating?: boolean;
  /** True if the checkpoint stores the transpose of each matrix. */
  readonly inOut?: boolean;
  /** True if the checkpoint stores the matrices of all experts as one, [experts · rows, columns]. */
  readonly flat?: boolean;
  /**
   * Describes the heads of a single tensor. The file stores its sections one after the other. The checkpoint stores all
   * sections of a head, or of a group of heads, together.
   */
  readonly perHead?: (file: GgufSettings) => GgufHeads;
}

/** The heads of a tensor, by settings of the file. */
export interface GgufHeads {
  readonly groups: number;
  /** Heads of each section for each group. */
  readonly heads: readonly number[];
  /** Rows before the heads, which both files have in the same order. Default: 0. */
  readonly before?: number | undefined;
  /** True if heads are columns. Default: they are rows. */
  readonly inColumns?: boolean;
}

/** A family with GGUF files. */
export type GgufReadable = Family & { readonly gguf: GgufFamily };

export type GgufNumber =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly float32s: readonly number[] }
  | { readonly int32s: readonly number[] }
  | { readonly bools: readonly boolean[] };

/** Settings in a model's GGUF file. */
export interface GgufSettings {
  readonly tensors: Gguf['tensors'];
  /** `general.architecture`. */
  readonly architecture: string;
  /**
   * A number by a name such as `block_count`. A float32 becomes the shortest decimal: 1e-6, not 9.999999974752427e-7.
   */
  number(name: string): number | undefined;
  /** A required number. Throws FormatError if it is missing. */
  needed(name: string): number;
  /** A list of names. */
  texts(name: string): readonly string[] | undefined;
  /** A number for each layer, given as a list or once. */
  ofLayers(name: string): readonly number[] | undefined;
  flag(name: string): boolean | undefined;
  text(name: string): string | undefined;
  /**
   * Returns the kind of each layer by the file's windows. `period`: without settings in the file, one of so many layers
   * has no window.
   */
  layerTypes(period: number): readonly ('sliding_attention' | 'full_attention')[];
  /** Layers with a window: a list of booleans, or the period n, where one of n layers has no window. */
  pattern(name: string): number | readonly boolean[] | undefined;
  /** Number of layers. */
  readonly layers: number;
  /** True if a layer has a tensor of that name, such as `attn_q.bias`. */
  hasTensor(name: string): boolean;
  /** Number of rows of a tensor. Throws FormatError if it is missing. */
  rows(tensor: string): number;
  /** The common config of all decoders with rotary positions. */
  decoder(): Json;
  /** The rotary settings of heads of this size. */
  rope(headSize: number): Json;
  /** The divisors of rotary frequencies that `rope_freqs.weight` holds. Undefined without this tensor. */
  readonly ropeDivisors: readonly number[] | undefined;
}
