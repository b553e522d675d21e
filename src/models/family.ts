// A family: all that a `model_type` is, in one object at the end of its file, beside its class. Who adds one writes that file and a
// line of the registry.

import type { Gguf } from '../io/gguf.js';
import type { Json, ModelConfig } from './model-config.js';
import type { FamilyContext, PretrainedModel } from './pretrained-model.js';

export interface Family {
  readonly model: new (context: FamilyContext) => PretrainedModel;
  /** The encoder alone, where transformers has classes for it: one of vectors, and one of labels of tokens. */
  readonly encoder?: new (
    context: FamilyContext,
  ) => PretrainedModel;
  /** The beginning of transformers' class names: `Bert` of BertModel. */
  readonly className: string;
  /** The class that writes text. Default: `ForCausalLM` behind the name. */
  readonly writer?: string;
  /**
   * Defaults of transformers for settings that a config.json lacks: those of the architecture, of dropout and of special tokens. Files
   * from before a setting was introduced lack it. The parts of CLIP and SigLIP hold only what differs from the defaults. Null
   * stands for a setting that is derived from others.
   */
  readonly defaults: Json;
  /** Derives settings from others. `config` has the defaults already; `given` is the file. */
  readonly complete?: (config: Record<string, unknown>, given: Json) => void;
  /** True if layer number i attends within a window; newer files say it in `layer_types`. */
  readonly isSliding?: (layer: number, config: Json) => boolean;
  /** The rotary embedding of queries and keys. */
  readonly rope?: RopeDefaults;
  /** Configs of models within, by their key, and their model types. */
  readonly parts?: Readonly<Record<string, string>>;
  /** The kind of its vocab.txt, or of its vocab.json and merges.txt, for folders without tokenizer.json. */
  readonly vocabulary?: 'bert' | 'gpt2' | 'roberta';
  /** The layout of its GGUF files, if there are any. */
  readonly gguf?: GgufFamily;
}

/** Defaults of the rotary embedding, for a config.json that does not describe it. */
export interface RopeDefaults {
  /** The base of the frequencies, and its name in files of before transformers 5. Default `rope_theta`. */
  readonly theta: number;
  readonly thetaName?: string;
  /** The part of a head that rotates, and its name in older files. Default: all of it; `partial_rotary_factor`. */
  readonly partial?: number;
  readonly partialName?: string;
  /** Other names of values of `rope_type`. */
  readonly typeNames?: Readonly<Record<string, string>>;
  /** Settings of layers within a window, if these differ; `isScaled`: `rope_scaling` is theirs, too. */
  readonly sliding?: { readonly theta: number; readonly thetaName: string; readonly isScaled: boolean };
}

/** How GGUF files hold a family. */
export interface GgufFamily {
  /** Names in a GGUF file and in a checkpoint of transformers, without `.weight` and `.bias`; a star is a layer's number. */
  readonly names: Readonly<Record<string, string>>;
  /** Tensors whose heads have pairs of features side by side that transformers has in two halves. */
  readonly pairedRows?: readonly string[];
  /** Norms hold 1 + weight. */
  readonly plusOne?: boolean;
  /** Matrices that transformers stores transposed. */
  readonly inOut?: readonly string[];
  /** True if it only encodes: vectors of tokens become one. */
  readonly isEncoder?: boolean;
  /** The config.json of a file, with `architectures` if they are unusual. Default: that of decoders with rotary positions. */
  readonly config?: (file: GgufSettings) => Json;
  /** The part of the config that `saveGguf` writes; 'decoder': that of decoders with rotary positions. Without it, `saveGguf` refuses. */
  readonly saved?: 'decoder' | ((config: ModelConfig) => Readonly<Record<string, GgufNumber>>);
}

/** A family of which there are GGUF files. */
export type GgufReadable = Family & { readonly gguf: GgufFamily };

export type GgufNumber = { readonly uint32: number } | { readonly float32: number };

/** Settings of a model in its GGUF file. */
export interface GgufSettings {
  readonly tensors: Gguf['tensors'];
  /** `general.architecture`. */
  readonly architecture: string;
  /** A number by a name such as `block_count`. A float32 becomes the decimal that is meant: 1e-6, not 9.999999974752427e-7. */
  number(name: string): number | undefined;
  /** A number that must be there. Throws FormatError. */
  needed(name: string): number;
  /** Names in a list. */
  texts(name: string): readonly string[] | undefined;
  /** Layers with a window: a list of truth values, or the number of layers of which one has none. */
  pattern(name: string): number | readonly boolean[] | undefined;
  /** Rows of a tensor. Throws FormatError if it is not there. */
  rows(tensor: string): number;
  /** The common config of all decoders with rotary positions. */
  decoder(): Json;
  /** The rotary settings of heads of this size. */
  rope(headSize: number): Json;
}
