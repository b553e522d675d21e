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
  /** What transformers' classes begin with: `Bert` of BertModel. */
  readonly className: string;
  /** The class that writes text. Default: `ForCausalLM` behind the name. */
  readonly writer?: string;
  /**
   * What transformers takes for settings that a config.json lacks: those of the architecture, of dropout and of special tokens. Files of
   * old, from before a setting was introduced, lack some; the parts of CLIP and SigLIP hold only what differs from this. Null
   * stands for what is derived from others.
   */
  readonly defaults: Json;
  /** Derives settings from others. `config` has the defaults already; `given` is the file. */
  readonly complete?: (config: Record<string, unknown>, given: Json) => void;
  /** Whether layer number i attends within a window, where some do: what `layer_types` says in newer files. */
  readonly isSliding?: (layer: number, config: Json) => boolean;
  /** Where queries and keys rotate. */
  readonly rope?: RopeDefaults;
  /** Configs of models within, by their key, and their model types. */
  readonly parts?: Readonly<Record<string, string>>;
  /** What its vocab.txt, or its vocab.json and merges.txt, are like, for folders without tokenizer.json. */
  readonly vocabulary?: 'bert' | 'gpt2' | 'roberta';
  /** Where GGUF files of it exist. */
  readonly gguf?: GgufFamily;
}

/** How queries and keys rotate where a config.json does not say it. */
export interface RopeDefaults {
  /** The base of the frequencies, and its name in files of before transformers 5. Default `rope_theta`. */
  readonly theta: number;
  readonly thetaName?: string;
  /** The part of a head that rotates, and its name in older files. Default: all of it; `partial_rotary_factor`. */
  readonly partial?: number;
  readonly partialName?: string;
  /** What else `rope_type` was called. */
  readonly typeNames?: Readonly<Record<string, string>>;
  /** Of layers within a window, where they have their own; `isScaled`: `rope_scaling` is theirs, too. */
  readonly sliding?: { readonly theta: number; readonly thetaName: string; readonly isScaled: boolean };
}

/** How GGUF files hold a family. */
export interface GgufFamily {
  /** Names in a GGUF file and in a checkpoint of transformers, without `.weight` and `.bias`; a star is a layer's number. */
  readonly names: Readonly<Record<string, string>>;
  /** Tensors whose heads have pairs of features side by side that transformers has in two halves. */
  readonly turned?: readonly string[];
  /** Norms hold 1 + weight. */
  readonly plusOne?: boolean;
  /** Matrices that transformers stores the other way round. */
  readonly inOut?: readonly string[];
  /** Its vectors of tokens become one: it writes nothing. */
  readonly isEncoder?: boolean;
  /** What config.json would say, `architectures` where they are not the usual. Default: that of decoders whose positions rotate. */
  readonly config?: (file: GgufSettings) => Json;
  /** What `saveGguf` writes of the config; 'decoder': the same as of decoders whose positions rotate. Without it, it refuses. */
  readonly saved?: 'decoder' | ((config: ModelConfig) => Readonly<Record<string, GgufNumber>>);
}

/** A family of which there are GGUF files. */
export type GgufReadable = Family & { readonly gguf: GgufFamily };

export type GgufNumber = { readonly uint32: number } | { readonly float32: number };

/** What a GGUF file says of its model. */
export interface GgufSettings {
  readonly tensors: Gguf['tensors'];
  /** `general.architecture`. */
  readonly architecture: string;
  /** A number by a name such as `block_count`; of a float32 the decimal that is meant: 1e-6, not 9.999999974752427e-7. */
  number(name: string): number | undefined;
  /** The same of what must be there. Throws FormatError. */
  needed(name: string): number;
  /** Names in a list. */
  texts(name: string): readonly string[] | undefined;
  /** Whether layers have a window: a list of truth values, or every how many layers one has none. */
  pattern(name: string): number | readonly boolean[] | undefined;
  /** Rows of a tensor. Throws FormatError if it is not there. */
  rows(tensor: string): number;
  /** What all decoders whose positions rotate have in common. */
  decoder(): Json;
  /** How the features of a head rotate. */
  rope(headSize: number): Json;
}
