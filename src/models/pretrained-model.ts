import { checkKnown, checkOneOf, describeValue } from '../core/check.js';
import { copied } from '../core/copied.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult } from '../generate/generate-options.js';
import type { ResponseFormat } from '../generate/response-format.js';
import { type AttentionMaps, observeAttention } from '../inspect/attention-maps.js';
import type { EmbeddingTrace } from '../inspect/trace-types.js';
import type { Memory } from '../nn/decoder-state.js';
import type { Initializer } from '../nn/init.js';
import { inference, type LoadableTensor, type StateDict } from '../nn/module.js';
import { parameterOf, type StateParameterEntry } from '../nn/state-entry.js';
import type { TokenBatch, Tokens } from '../nn/token-batch.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { ForwardOptions, ModelInputs, ModelOutput, PaddedBatch } from './inputs.js';
import { Model } from './model.js';
import type { Json, ModelConfig } from './model-config.js';
import type { HeadKind, PredictionHead } from './prediction-head.js';
import type { SaveOptions } from './saved.js';
import type { Origin } from './saved-pretrained.js';
import type { SentenceHead } from './sentence-head.js';

export type { HeadKind } from './prediction-head.js';

/** The arguments of a family's constructor. */
export interface FamilyContext {
  readonly init: Initializer;
  readonly config: ModelConfig;
  readonly head: HeadKind;
}

/** A change of a model beside its weights, which can be switched on and off. */
export interface Adapter {
  readonly name: string;
  isActive: boolean;
  /** True while the change is part of the weights. */
  readonly isMerged: boolean;
  /** Makes the change part of the weights. */
  merge(): this;
  dispose(): void;
}

export interface AdapterChoice {
  /** The adapters of this call: one, several, whose changes are added up, or null for none. Default: the active ones. */
  adapter?: string | readonly string[] | null | undefined;
}

/** A model of a family that others have trained, with the interface of transformers. */
export abstract class PretrainedModel extends Model {
  /** config.json, keys as they are. */
  readonly config: Json;
  readonly headKind: HeadKind;
  /** Defaults of `generate`, from generation_config.json if that was loaded. */
  generationConfig: GenerateOptions = {};
  /** generation_config.json, keys as they are, or where there was none config.json. */
  generationFile: Json = {};
  /** Turns text into ids, if the model brought a tokenizer. */
  tokenizer: PretrainedTokenizer | null = null;
  /** Turns sounds or images into inputs, if the model brought a processor. */
  processor: object | null = null;
  /** Makes one vector of a text, in a model of sentence-transformers. */
  sentenceHead: SentenceHead | null = null;
  /** @internal What it was loaded from. */
  origin: Origin | null = null;
  protected readonly settings: ModelConfig;
  readonly #adapters = new Map<string, Adapter>();
  /** Ends when the last generation does that was asked for. */
  #turn: Promise<void> = Promise.resolve();

  constructor({ init, config, head }: FamilyContext) {
    super(init.device, init.seed);
    this.config = config.values;
    this.settings = config;
    this.headKind = head;
  }

  override get endIds(): readonly number[] {
    return this.settings.ids('eos_token_id');
  }

  /**
   * Runs the model. Results are padded as the inputs are, with zeros, and belong to the caller's scope; see
   * `ModelOutput`. Throws ArgumentError, ShapeError, DTypeError for inputs that do not fit, such as an id outside the
   * vocabulary.
   */
  forward(inputs: ModelInputs, options: ForwardOptions & AdapterChoice = {}): ModelOutput {
    checkKnown('forward', inputs, this.inputNames);
    const { adapter, ...rest } = checkKnown('forward', options, ['hiddenStates', 'attentions', 'loss', 'adapter']);
    for (const [name, value] of Object.entries(rest)) checkOneOf('forward', name, value ?? true, [true, false]);
    return this.#withAdapter(adapter, () => this.#forward(inputs, rest));
  }

  #forward(inputs: ModelInputs, options: ForwardOptions): ModelOutput {
    return this.device.scope(() => {
      this.beginPass();
      const layout: BatchLayout = { source: null, target: null };
      if (!options.attentions) return this.run(inputs, options, layout);
      let output: ModelOutput = {};
      const maps = observeAttention(this.attentions, () => {
        output = this.run(inputs, options, layout);
      });
      return { ...output, ...this.mapsOf(maps, output, layout) };
    });
  }

  /**
   * Switches between adapters, which `lora` and `loadLora` put on the model: one name, several, whose changes are added up, or
   * null for none. Adapters that are merged stay in the weights. Throws ArgumentError, and changes nothing, for a name that
   * is not there, and for adapters that replace the same modules.
   */
  setAdapter(names: string | readonly string[] | null): void {
    const wanted = names === null ? [] : [names].flat();
    for (const name of wanted) {
      if (this.#adapters.has(name)) continue;
      const known = [...this.#adapters.keys()].join(', ') || 'none';
      throw new ArgumentError(`setAdapter: there is no adapter ${describeValue(name)}, but ${known}`);
    }
    const before = this.activeAdapters;
    try {
      this.#switch(wanted);
    } catch (error) {
      this.#switch(before);
      throw error;
    }
  }

  /** Switches off first: two adapters may replace the same modules, but not at one time. */
  #switch(wanted: readonly string[]): void {
    const adapters = [...this.#adapters.values()];
    for (const adapter of adapters) if (!wanted.includes(adapter.name)) adapter.isActive = false;
    for (const adapter of adapters) if (wanted.includes(adapter.name)) adapter.isActive = true;
  }

  /** The names of the active adapters. */
  get activeAdapters(): string[] {
    return [...this.#adapters.values()].filter(({ isActive }) => isActive).map(({ name }) => name);
  }

  /** Adapters by name. */
  get adapters(): ReadonlyMap<string, Adapter> {
    return this.#adapters;
  }

  /** @internal */
  addAdapter(adapter: Adapter): void {
    this.#adapters.set(adapter.name, adapter);
  }

  /** @internal */
  removeAdapter({ name }: Adapter): void {
    this.#adapters.delete(name);
    this.partsChanged();
  }

  /** @internal Throws ArgumentError, in the name of `op`, if an active adapter is not part of the weights: it would be lost. */
  assertMerged(op: string): void {
    for (const { name, isActive, isMerged } of this.#adapters.values()) {
      if (!isActive || isMerged) continue;
      const ways =
        "merge() it to write the whole model, write it alone with its own save (saveLora in PEFT's layout), or leave it out with setAdapter(null)";
      throw new ArgumentError(`${op}: the adapter ${name} is not part of the weights: ${ways}`);
    }
  }

  /** Frees the parameters, the adapters, and the memory of generation. */
  override dispose(): void {
    for (const adapter of [...this.#adapters.values()]) adapter.dispose();
    super.dispose();
  }

  /** The result of `fn` with other adapters than the active ones, which are back when it ends. */
  #withAdapter<T>(names: string | readonly string[] | null | undefined, fn: () => T): T {
    if (names === undefined) return fn();
    const before = this.activeAdapters;
    if (`${before}` === `${names ?? ''}`) return fn();
    this.setAdapter(names);
    try {
      return fn();
    } finally {
      this.setAdapter(before);
    }
  }

  /**
   * Writes a continuation of each input; see `Model.generate`. `adapter`: the adapters of this call, as in `forward`. A batch
   * has one choice of adapters. If a model has adapters, calls run one after the other.
   */
  override generate(input: Tokens, options: GenerateOptions & AdapterChoice = {}): Promise<GenerateResult> {
    if (this.#adapters.size === 0 && !('adapter' in options)) return super.generate(input, options);
    const { adapter, ...rest } = { ...options };
    const given = copied(input);
    const turn = this.#turn.then(async () => {
      const before = this.activeAdapters;
      if (adapter !== undefined) this.setAdapter(adapter);
      try {
        return await super.generate(given, rest);
      } finally {
        if (adapter !== undefined) this.setAdapter(before);
      }
    });
    this.#turn = turn.then(
      () => {},
      () => {},
    );
    return turn;
  }

  /**
   * The attention probabilities of every layer for packed or ragged sequences: what each token looked at. `source`: null
   * for decoders alone, for models of images or sounds a tensor of `pixelValues` or `inputFeatures`; `target`: what
   * decoders read. Without gradients. The tensors belong to the scope it is called in.
   * Throws as `forward`.
   */
  attentionMaps(source: Tokens | null, target?: Tokens): AttentionMaps {
    const { decoder } = this;
    for (const [name, isRead, tokens] of [
      ['source', this.readsSource, source],
      ['target', decoder !== null, target ?? null],
    ] as const) {
      if (isRead === (tokens !== null)) continue;
      throw new ArgumentError(`attentionMaps: ${name} is ${tokens ? 'given, but the model reads none' : 'missing'}`);
    }
    return inference(this, () =>
      observeAttention(this.attentions, () => {
        const memory = source === null ? null : this.readSource(source);
        if (decoder === null || target === undefined) return;
        const batch = this.toBatch('target', target);
        decoder.forward(this.embedTarget(batch.ids, batch.positions), batch, { memory });
      }),
    );
  }

  /** All parameters by the names that the checkpoint has for them, in its layouts, each once; live, and so are gradients. */
  override namedParameters(): [name: string, parameter: StateParameterEntry][] {
    return this.statePieces().map((piece) => [this.#saved(piece.name), parameterOf(piece)]);
  }

  /** The state dict, by the names of the checkpoint. Names of a body without a head have no prefix, as in transformers. */
  override stateDict(): StateDict {
    return this.#renamed(super.stateDict());
  }

  override gradientDict(): StateDict {
    return this.#renamed(super.gradientDict());
  }

  /** Loads a state dict. Names with and without the prefix of the body are known. */
  override loadStateDict(
    tensors: Readonly<Record<string, LoadableTensor>> | ReadonlyMap<string, LoadableTensor>,
  ): void {
    const own = new Map([...this.pieceNames().values()].flat().map((name) => [this.#saved(name), name]));
    const isList = typeof tensors === 'object' && tensors !== null;
    const entries = tensors instanceof Map ? [...tensors] : isList ? Object.entries(tensors) : null;
    super.loadStateDict(entries ? new Map(entries.map(([name, each]) => [own.get(name) ?? name, each])) : tensors);
  }

  #renamed(entries: StateDict): StateDict {
    return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [this.#saved(name), entry]));
  }

  /** The name of a tensor in checkpoints of the class. */
  #saved(name: string): string {
    const isBody = this.headKind === 'none' && name.startsWith(`${this.bodyName}.`);
    return this.origin?.names.get(name) ?? (isBody ? name.slice(this.bodyName.length + 1) : name);
  }

  /** The beginning of `stateNames`, which checkpoints of a class with a head have, and those of the body alone do not. */
  protected get bodyName(): string {
    return 'model';
  }

  /**
   * Writes the model to a folder, as transformers saves: config.json, model.safetensors, and the files of the tokenizer
   * and others that came with the model, as they were. `loadModel` reads it, and so does Python, but for packed weights of
   * fewer than 16 bits, which stay packed: docs/packed-weights.md has the layout. Node, Deno and Bun. Each
   * file is replaced whole, once all are written beside them; an error leaves the old files. Throws the file system's
   * errors, and ArgumentError for options that make no sense, and while an adapter is active that is not merged.
   */
  async save(folder: string | URL, options: SaveOptions = {}): Promise<void> {
    this.assertMerged('save');
    const values = Promise.all(
      this.namedParameters().map(async ([name, { shape, data }]) => ({ name, shape, data: await data() })),
    );
    values.catch(() => {}); // reported when it is awaited
    const { originOf, writePretrained } = await import('./saved-pretrained.js');
    const { packedPieces } = await import('./packed-state.js');
    const origin = this.#untied(originOf(this.origin));
    const packed = packedPieces(this).map((piece) => ({ ...piece, name: origin.names.get(piece.name) ?? piece.name }));
    await writePretrained(folder, origin, { values, packed }, options);
  }

  /** An adapter may have given a tied model an output projection of its own: config.json says so. */
  #untied(origin: Origin): Origin {
    const hasOwn = this.statePieces().some(({ path }) => path === 'head.out.weight');
    if (!hasOwn || !this.settings.flag('tie_word_embeddings')) return origin;
    // T5 scales features where the two are tied, whose output projection learned with that.
    const { scale_decoder_outputs } = this.settings.values;
    const scaled = scale_decoder_outputs ? { scale_decoder_outputs } : {};
    return { ...origin, config: { ...origin.config, ...scaled, tie_word_embeddings: false } };
  }

  /** Tokens that a model of sentences reads of a text, if that is fewer than it could. */
  get sentenceTokens(): number | null {
    return this.sentenceHead?.maxTokens ?? null;
  }

  /** True if the family has such an input. */
  takes(name: keyof ModelInputs): boolean {
    return this.inputNames.includes(name);
  }

  /** The encoder's output for a source, in the scope it is called in. */
  protected readSource(source: Tokens): Memory {
    return this.encodeBatch(source);
  }

  /** True if an encoder reads a source. */
  protected get readsSource(): boolean {
    return this.encoder !== null;
  }

  abstract readonly head: PredictionHead | null;
  /** The inputs that the family takes. */
  protected abstract get inputNames(): readonly (keyof ModelInputs)[];
  /** Says in `layout` how what it read was padded. */
  protected abstract run(inputs: ModelInputs, options: ForwardOptions, layout: BatchLayout): ModelOutput;
  /** Attention maps by the names that the family's outputs have; `output`: what they are added to. */
  protected abstract mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput;

  traceEmbedding(side: 'encoder' | 'decoder', { ids, positions }: TokenBatch): EmbeddingTrace<Tensor> {
    const sum = side === 'encoder' ? this.embedSource(ids, positions) : this.embedTarget(ids, positions);
    return { token: sum, position: null, sum };
  }

  /** See `GenerateOptions.responseFormat`. What constrains is loaded when it is first called. */
  async constrain(format: ResponseFormat, options: { stopTokens?: Iterable<number> | undefined } = {}) {
    if (this.tokenizer === null) throw new ArgumentError('generate: responseFormat needs a model with a tokenizer');
    const { constrain } = await import('../constrain/index.js');
    return constrain(this.tokenizer, format, options);
  }

  logitsOf(features: Tensor): Tensor {
    return this.head?.pick === 'firstAndRest' ? features : (this.head?.read(features) ?? features);
  }

  get vocabSize(): number {
    return this.settings.size('vocab_size');
  }

  get maxLength(): number {
    return this.settings.size('max_position_embeddings');
  }

  get padId(): number | null {
    return null;
  }
}

/** How sequences were padded, null where they were not rows of tokens. */
export interface BatchLayout {
  source: PaddedBatch | null;
  target: PaddedBatch | null;
}
