import { checkKnown, checkOneOf, checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { atOnce, eachWithin } from '../core/slices.js';
import type { Tensor } from '../core/tensor.js';
import type { GenerateOptions, GenerateResult, TokenEvent } from '../generate/generate-options.js';
import { disposeDecoders, forgetDecoders } from '../generate/model-decoders.js';
import type { ResponseFormat } from '../generate/response-format.js';
import { type AttentionMaps, observeAttention } from '../inspect/attention-maps.js';
import type { Memory } from '../nn/decoder-state.js';
import type { Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import type { LoadableTensor, StateDict } from '../nn/module.js';
import type { Stack } from '../nn/stack.js';
import { parameterOf, type StateParameterEntry } from '../nn/state-entry.js';
import { joinPath, type StateNames, type StoredAs } from '../nn/state-names.js';
import type { TokenBatch, Tokens } from '../nn/token-batch.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { type Adapter, type AdapterChoice, AdapterSet, adaptedModel } from './adapter-set.js';
import type { ForwardOptions, ModelInputs, ModelOutput, PaddedBatch, RowLayout } from './inputs.js';
import type { Json, ModelConfig } from './model-config.js';
import type { HeadKind, PredictionHead } from './prediction-head.js';
import type { SentenceHead } from './retrieval/sentence-head.js';
import { RetrievalModel } from './retrieval-model.js';
import type { SaveOptions } from './saved.js';
import type { Origin } from './saved-pretrained.js';

export type { Adapter, AdapterChoice } from './adapter-set.js';
export type { HeadKind } from './prediction-head.js';

/** The arguments of a family's constructor. */
export interface FamilyContext {
  readonly init: Initializer;
  readonly config: ModelConfig;
  readonly head: HeadKind;
  /** The config of the larger model that this one is the language model of. Default: none. */
  readonly whole?: ModelConfig | undefined;
  /** The random numbers of a model that this one is a part of. Default: its own. */
  readonly randomness?: Randomness | undefined;
}

/** Throws ArgumentError for an option that is neither true nor false. */
function checkFlags(options: ForwardOptions): void {
  for (const [name, value] of Object.entries(options))
    if (value !== undefined) checkOneOf('forward', name, value, [true, false]);
}

/** A pretrained model of a family, with the interface of transformers. */
export abstract class PretrainedModel extends RetrievalModel {
  /** Content of config.json, with its original keys. */
  readonly config: Json;
  readonly headKind: HeadKind;
  /** Defaults of `generate`, from generation_config.json if that was loaded. */
  generationConfig: GenerateOptions = {};
  /** Content of generation_config.json, or of config.json if there is none, with original keys. */
  generationFile: Json = {};
  /** Converts text to ids, if the model has a tokenizer. */
  tokenizer: PretrainedTokenizer | null = null;
  /** Converts audio or images to inputs, if the model has a processor. */
  processor: object | null = null;
  /** The modules of sentence-transformers, if the folder has some. */
  sentenceHead: SentenceHead | null = null;
  /** @internal The source that it was loaded from. */
  origin: Origin | null = null;
  protected readonly settings: ModelConfig;
  readonly #adapters = new AdapterSet();
  /** The model with the adapters of `generate` and `stream`, by their names. */
  readonly #withAdapters = new Map<string, this>();

  constructor({ init, config, head, whole = config, randomness }: FamilyContext) {
    super(init.device, init.seed, randomness);
    this.config = whole.values;
    this.settings = config;
    this.headKind = head;
  }

  override get endIds(): readonly number[] {
    return this.settings.ids('eos_token_id');
  }

  /**
   * Runs the model. Results are padded with zeros as the inputs are, and belong to the current scope; see
   * `ModelOutput`. Throws ArgumentError, ShapeError or DTypeError for invalid inputs, such as an id outside the
   * vocabulary.
   *
   * ```ts
   * const { logits } = model.forward({ inputIds: [ids] }); // [1, T, vocabulary]
   * ```
   */
  forward(inputs: ModelInputs, options: ForwardOptions & AdapterChoice = {}): ModelOutput {
    checkKnown('forward', inputs, this.inputNames);
    const { adapter, ...rest } = checkKnown('forward', options, ['hiddenStates', 'attentions', 'loss', 'adapter']);
    checkFlags(rest);
    return this.#adapters.within(adapter, () => this.#forward(inputs, rest));
  }

  #forward(inputs: ModelInputs, options: ForwardOptions): ModelOutput {
    return this.device.scope(() => {
      this.beginPass();
      const layout: BatchLayout = { source: null, target: null };
      if (!options.attentions) return atOnce(this.runInParts(inputs, options, layout));
      let output: ModelOutput = {};
      const maps = observeAttention(this.attentions, () => {
        output = atOnce(this.runInParts(inputs, options, layout));
      });
      return { ...output, ...this.mapsOf(maps, output, layout) };
    });
  }

  /**
   * @internal Same as `forward`, but yields after each layer, where the caller can pause. The caller runs it in a
   * scope. If the parts of the model change meanwhile, the pass begins again. By default, there is no loss.
   */
  *forwardInParts(
    inputs: ModelInputs,
    options: Omit<ForwardOptions, 'attentions'> & AdapterChoice = { loss: false },
  ): Generator<unknown, ModelOutput> {
    checkKnown('forward', inputs, this.inputNames);
    const { adapter, ...rest } = checkKnown('forward', options, ['hiddenStates', 'loss', 'adapter']);
    checkFlags(rest);
    const pass = () => this.runInParts(inputs, rest, { source: null, target: null });
    const within = <T>(part: () => T): T => this.#adapters.within(adapter, part);
    return yield* this.#unchanged(() => eachWithin(within, pass()));
  }

  /** @internal See `TextReader`. */
  featuresOf(inputs: ModelInputs): Tensor {
    return this.device.scope(() => atOnce(this.featuresInParts(inputs)));
  }

  /** @internal See `TextReader`. */
  *featuresInParts(inputs: ModelInputs, hiddenStates?: Tensor[]): Generator<unknown, Tensor> {
    return yield* this.#unchanged(() => {
      hiddenStates?.splice(0); // A pass that begins again has new ones.
      return this.passFeaturesInParts(inputs, hiddenStates);
    });
  }

  /** Runs a pass, from its beginning again if an adapter was switched meanwhile: no result mixes two states. */
  *#unchanged<T>(pass: () => Generator<unknown, T>): Generator<unknown, T> {
    for (;;) {
      this.beginPass();
      const structureVersion = this.structureVersion;
      const parts = this.withPassSeed(pass());
      while (structureVersion === this.structureVersion) {
        const { done, value } = parts.next();
        if (done) return value;
        yield;
      }
      parts.return(undefined as T);
    }
  }

  /** The features of a pass before any head, float32 [N, hidden]. */
  protected *passFeaturesInParts({ inputIds }: ModelInputs, _hiddenStates?: Tensor[]): Generator<unknown, Tensor> {
    const { encoder, decoder } = this;
    if (encoder !== null && decoder !== null)
      return (yield* this.encodeBatchInParts(this.toBatch('inputIds', inputIds as Tokens))).hidden;
    throw new ArgumentError(`encode: a model of the family ${this.config.model_type} does not read texts alone`);
  }

  /**
   * Activates adapters of `lora` and `loadLora`: one name, several, whose changes are added, or null for none. Merged
   * adapters stay in the weights. Throws ArgumentError, without a change, for an unknown name, and for adapters that
   * replace the same modules.
   */
  setAdapter(names: string | readonly string[] | null): void {
    this.#adapters.activate(names);
  }

  /** The names of the active adapters. */
  get activeAdapters(): string[] {
    return this.#adapters.active;
  }

  /** Adapters by name. */
  get adapters(): ReadonlyMap<string, Adapter> {
    return this.#adapters.byName;
  }

  /** @internal */
  addAdapter(adapter: Adapter): void {
    this.#adapters.add(adapter);
  }

  /** @internal */
  removeAdapter({ name }: Adapter): void {
    this.#adapters.remove(name);
    this.partsChanged();
  }

  /** @internal Throws ArgumentError, naming `op`, if an active adapter is not merged, because it would be lost. */
  assertMerged(op: string): void {
    this.#adapters.assertMerged(op);
  }

  /** Frees the parameters, the adapters, and the memory of generation. */
  override dispose(): void {
    this.#adapters.dispose();
    for (const model of this.#withAdapters.values()) disposeDecoders(model);
    super.dispose();
  }

  /** Continues each input; see `Model.generate`. `adapter` selects the adapters of this call, as in `forward`. */
  override async generate(input: Tokens, options: GenerateOptions & AdapterChoice = {}): Promise<GenerateResult> {
    const { adapter, ...rest } = checkOptions('generate', options);
    return super.generate.call(this.#adapted('generate', adapter, rest), input, rest);
  }

  /** Yields each token when it is chosen; see `Model.stream`. `adapter` selects the adapters, as in `generate`. */
  override stream(
    input: Tokens,
    options: GenerateOptions & AdapterChoice = {},
  ): AsyncGenerator<TokenEvent, GenerateResult, void> {
    const { adapter, ...rest } = checkOptions('stream', options);
    return super.stream.call(this.#adapted('stream', adapter, rest), input, rest);
  }

  /** The model with the adapters of a call; the model itself if the call chose none. */
  #adapted(op: string, choice: AdapterChoice['adapter'], { cache }: GenerateOptions): this {
    if (choice === undefined) return this;
    if (cache !== undefined)
      throw new ArgumentError(`${op}: cache and adapter exclude each other: call setAdapter instead`);
    this.assertUsable();
    const names = this.#adapters.namesOf(op, choice);
    const known = this.#withAdapters.get(`${names}`);
    const model = known ?? adaptedModel(this, (part) => this.#adapters.within(names, part));
    this.#withAdapters.set(`${names}`, model);
    return model;
  }

  /** @internal */
  override partsChanged(): void {
    if (this.#adapters.isSwitched) return;
    super.partsChanged();
    for (const model of this.#withAdapters.values()) forgetDecoders(model);
  }

  /** The pass that `trace` runs; see `Traceable`. */
  runPass(op: string, source: Tokens | null, target?: Tokens): Tensor {
    const { decoder, readsSource } = this;
    if (!readsSource && decoder === null) {
      const { model_type: type } = this.config;
      throw new ArgumentError(`${op}: ${type} has no single stack of layers, so it is not read layer by layer`);
    }
    for (const [name, isRead, tokens] of [
      ['source', readsSource, source],
      ['target', decoder !== null, target],
    ] as const) {
      if (isRead === (tokens != null)) continue;
      throw new ArgumentError(`${op}: ${name} is ${isRead ? 'missing' : 'given, but the model reads none'}`);
    }
    const memory = source === null ? null : this.readSource(source);
    if (decoder === null || target === undefined) return (memory as Memory).hidden;
    return this.decodeBatch(this.toBatch('target', target), memory);
  }

  /** The features of the decoder for whole targets, float32 [N, hidden]. */
  protected decodeBatch(batch: TokenBatch, memory: Memory | null): Tensor {
    return (this.decoder as Stack).forward(this.embedTarget(batch.ids, batch.positions), batch, { memory });
  }

  /** All parameters by their checkpoint names and in its layouts, each once. Values and gradients are live. */
  override namedParameters(): [name: string, parameter: StateParameterEntry][] {
    return this.statePieces().map((piece) => [this.#saved(piece.name), parameterOf(piece)]);
  }

  /** The state dict by checkpoint names. Names of a body without a head have no prefix, as in transformers. */
  override stateDict(): StateDict {
    return this.#renamed(super.stateDict());
  }

  override gradientDict(): StateDict {
    return this.#renamed(super.gradientDict());
  }

  /** Loads a state dict. Names may have the body's prefix or lack it. */
  override loadStateDict(
    tensors: Readonly<Record<string, LoadableTensor>> | ReadonlyMap<string, LoadableTensor>,
  ): void {
    const savedNames = new Map([...this.pieceNames().values()].flat().map((name) => [this.#saved(name), name]));
    const isList = typeof tensors === 'object' && tensors !== null;
    const entries = tensors instanceof Map ? [...tensors] : isList ? Object.entries(tensors) : null;
    super.loadStateDict(
      entries ? new Map(entries.map(([name, tensor]) => [savedNames.get(name) ?? name, tensor])) : tensors,
    );
  }

  #renamed(entries: StateDict): StateDict {
    return Object.fromEntries(Object.entries(entries).map(([name, entry]) => [this.#saved(name), entry]));
  }

  /** Name of a tensor in checkpoints of the class. */
  #saved(name: string): string {
    const isBody = this.lacksBodyName && name.startsWith(`${this.bodyName}.`);
    return this.origin?.names.get(name) ?? (isBody ? name.slice(this.bodyName.length + 1) : name);
  }

  /** Prefix of `stateNames` in checkpoints of a class with a head. */
  protected get bodyName(): string {
    return 'model';
  }

  /** @internal True if checkpoints of the class lack the prefix, as those of a body without a head do. */
  get lacksBodyName(): boolean {
    return this.headKind === 'none';
  }

  /**
   * @internal State names of a model that is the property `path` of this one. Its names in checkpoints follow `prefix`.
   * With `isBody`, they lack the prefix of a class with a head.
   */
  protected namesOf(part: PretrainedModel, path: string, prefix: string, isBody: boolean): StateNames {
    const body = `${part.bodyName}.`;
    const localName = (name: string) =>
      joinPath(prefix, isBody && name.startsWith(body) ? name.slice(body.length) : name);
    const renamed = (target: StateNames[string]): StateNames[string] => {
      if (typeof target === 'string') return localName(target);
      if ('name' in target) return { ...target, name: renamed(target.name) as StoredAs['name'] };
      return target.map((name) => name && localName(name));
    };
    const names = Object.entries(part.stateNames).map(([name, target]) => [joinPath(path, name), renamed(target)]);
    return { ...Object.fromEntries(names), [path]: prefix };
  }

  /**
   * Writes the model to a folder in transformers' layout: config.json, model.safetensors, the tokenizer's and other
   * companion files. `loadModel` and Python read it. Only packed weights of fewer than 16 bits stay packed, and Python
   * cannot read them: see docs/packed-weights.md. Works in Node, Deno and Bun. Files are replaced once all are written;
   * an error leaves the old ones. Throws the file system's errors. Throws ArgumentError for invalid options, and if an
   * active adapter is not merged.
   */
  async save(folder: string | URL, options: SaveOptions = {}): Promise<void> {
    this.assertUsable();
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

  /** An adapter may have added an output projection to a tied language model: config.json then says so. */
  #untied(origin: Origin): Origin {
    if (!this.headKind.endsWith('language-model') || !this.settings.flag('tie_word_embeddings')) return origin;
    if (!this.statePieces().some(({ path }) => path === 'head.out.weight')) return origin;
    // If the two are tied, T5 scales features, and the output projection has learned with the scale.
    const { scale_decoder_outputs } = this.settings.values;
    const scaled = scale_decoder_outputs ? { scale_decoder_outputs } : {};
    return { ...origin, config: { ...origin.config, ...scaled, tie_word_embeddings: false } };
  }

  /** Maximum number of tokens that a model of sentences reads, if it is below the model's maximum. */
  get sentenceTokens(): number | null {
    return this.sentenceHead?.route(null).input.ownLimit ?? null;
  }

  /** @internal The name of a module in transformers' memory, by its name in checkpoints. See module-names.ts. */
  moduleName(name: string): string {
    return name;
  }

  /** @internal True for a tensor of checkpoints that the model does not need. */
  ignores(_name: string): boolean {
    return false;
  }

  /** @internal Names of ignored tensors that are saved again with the model; null if there are none. */
  readonly keptNames: RegExp | null = null;

  /** @internal Names of optional parameters that the file lacks. Their values mean nothing. */
  absent: ReadonlySet<string> = new Set();

  /** @internal True if the file is a graph without the pooler. Nothing is then pooled. */
  lacksPooler = false;

  /** @internal True for a parameter that inference does not use. Graphs for inference lack it. */
  isOptional(name: string): boolean {
    return /(masked_spec_embed|\.mask_token|\.mask_emb)$/.test(name);
  }

  /** True if the family takes this input. */
  override takes(name: keyof ModelInputs): boolean {
    return this.inputNames.includes(name);
  }

  /** The encoder's output for a source, in the current scope. */
  protected readSource(source: Tokens): Memory {
    return this.encodeBatch(source);
  }

  /** True if an encoder reads a source. */
  protected get readsSource(): boolean {
    return this.encoder !== null;
  }

  abstract override readonly head: PredictionHead | null;
  /** The inputs that the family takes. */
  protected abstract get inputNames(): readonly (keyof ModelInputs)[];
  /** Runs the family's model, and records the padding of its inputs in `layout`. Yields where the caller can pause. */
  protected abstract runInParts(
    inputs: ModelInputs,
    options: ForwardOptions,
    layout: BatchLayout,
  ): Generator<unknown, ModelOutput>;

  /** Adds attention maps to `output` by the family's names. */
  protected abstract mapsOf(maps: AttentionMaps, output: ModelOutput, layout: BatchLayout): ModelOutput;

  /** See `GenerateOptions.responseFormat`. The module for constraints is loaded at the first call. */
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

/** Padding of the inputs; null if they were not rows of tokens. */
export interface BatchLayout {
  source: PaddedBatch | null;
  target: PaddedBatch | null;
  /** Rows of patches of images whose numbers of patches differ. */
  images?: RowLayout;
}
