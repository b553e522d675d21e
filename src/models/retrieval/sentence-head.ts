import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import { Module } from '../../nn/module.js';
import type { Sequences } from '../../nn/sequences.js';
import { InputModule, type SentenceModule, type TextFeatures, type TextTask } from './features.js';
import type { BgeM3 } from './modules/bge-m3.js';
import type { Similarities, SimilarityName } from './similarity.js';

/** The settings of config_sentence_transformers.json. */
export interface SentenceSettings {
  /** Texts that go before a text, by name. */
  readonly prompts: Readonly<Record<string, string>>;
  /** The prompt of texts without a task. */
  readonly defaultPromptName: string | null;
  /** The similarity of vectors. Null: that of their kind. */
  readonly similarity: SimilarityName | null;
  /** The number of features that stay; null for all. */
  readonly truncateDim: number | null;
  /** The number of features of sparse vectors that stay; null for all. */
  readonly maxActiveDims: number | null;
  /** The class of torch that makes scores of logits. */
  readonly activation: string | null;
}

export const DEFAULT_SETTINGS: SentenceSettings = {
  prompts: {},
  defaultPromptName: null,
  similarity: null,
  truncateDim: null,
  maxActiveDims: null,
  activation: null,
};

/** The modules of sentence-transformers. The first reads texts, and the others turn its output into vectors. */
export class SentenceHead extends Module {
  /** Private, so that state dicts do not contain its parameters. They are in separate files and are not trained. */
  readonly #m3: BgeM3 | null;

  constructor(
    readonly steps: readonly SentenceModule[],
    readonly settings: SentenceSettings = DEFAULT_SETTINGS,
    m3: BgeM3 | null = null,
  ) {
    super();
    this.#m3 = m3;
  }

  /** BGE-M3's other outputs. */
  get m3(): BgeM3 | null {
    return this.#m3;
  }

  protected override release(): void {
    this.#m3?.dispose();
  }

  /**
   * The modules that compute for a task. Throws FormatError if the first reads no texts, ArgumentError without a route.
   */
  route(task: TextTask): { readonly input: InputModule; readonly steps: readonly SentenceModule[] } {
    const [input, ...steps] = this.steps.flatMap((step) => step.route(task));
    if (input instanceof InputModule) return { input, steps };
    throw new FormatError(
      'modules.json: the first module does not read texts, expected a Transformer, StaticEmbedding, WordEmbeddings or BoW',
    );
  }

  /** The modules of texts without a task, if one of them writes vectors with this name; null otherwise. */
  writes(name: string): ReturnType<SentenceHead['route']> | null {
    return this.steps.some(({ names }) => names?.output === name) ? this.route(null) : null;
  }

  /**
   * The vectors of texts, [B, d], of the model's own features, [N, hidden]; null if the modules give vectors of tokens.
   */
  forward(tokens: Tensor, batch: Sequences): Tensor | null {
    const { input, steps } = this.route(null);
    const features = { tokens, batch, encoded: null, task: null, sentence: null, compared: null };
    return run([input, ...steps], { ...features, isSparse: false, maxActiveDims: null }).sentence;
  }

  /** The similarity of each kind of vectors. BGE-M3's folder names that of its dense ones. */
  get similarities(): Similarities {
    const { similarity: name } = this.settings;
    if (this.#m3) return { dense: name, sparse: 'dot', tokens: 'meanmaxsim' };
    return { dense: name, sparse: name, tokens: name };
  }

  /** The prompt by name, or the default one. Throws ArgumentError for a name that is not known. */
  prompt(name: string | undefined): string {
    const { prompts, defaultPromptName } = this.settings;
    const wanted = name ?? defaultPromptName;
    if (wanted === null) return '';
    const prompt = Object.hasOwn(prompts, wanted) ? prompts[wanted] : undefined;
    if (prompt !== undefined) return prompt;
    const known = Object.keys(prompts).join(', ') || 'none';
    throw new ArgumentError(
      `encode: there is no prompt ${JSON.stringify(wanted)}, but ${known}: give its text as prompt`,
    );
  }
}

/** Returns the features after the last of some modules. */
export function run(steps: readonly SentenceModule[], features: TextFeatures): TextFeatures {
  return steps.reduce((state, step) => step.forward(state), features);
}
