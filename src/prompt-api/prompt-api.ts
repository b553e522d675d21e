import { checkOptions, describeValue } from '../core/check.js';
import { LocalModels, type LocalModelsOptions, type ModelId } from '../frameworks/local-models.js';
import { ArgumentError } from '../index.js';
import { type LanguageModelSession, LocalSession } from './language-model-session.js';
import { type CreateOptions, checkCreation } from './prompt-input.js';

export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available';

/** The static part of the Prompt API's `LanguageModel`. */
export interface PromptApi {
  /** 'downloadable' until the model is loaded. */
  availability(options?: CreateOptions): Promise<Availability>;
  /**
   * A session. The first one loads the model. Rejects with ArgumentError for invalid options, with a
   * NotSupportedError for images and audio, and with the errors of `loadModel`.
   */
  create(options?: CreateOptions): Promise<LanguageModelSession>;
  /** Frees the model. Sessions end. */
  dispose(): Promise<void>;
}

/** Options of `promptApi`, in addition to those of `loadModel`. */
export interface PromptApiOptions extends LocalModelsOptions {
  /** True to use the browser's own model if it has one. Default: false. */
  builtIn?: boolean | undefined;
}

/** The event `downloadprogress`. `loaded` is the share of the download that is complete. */
class ProgressOfDownload extends Event {
  readonly lengthComputable = true;
  readonly total = 1;

  constructor(readonly loaded: number) {
    super('downloadprogress');
  }
}

/**
 * Chrome's Prompt API on a model of this package, in pages and in Node.
 *
 * ```ts
 * globalThis.LanguageModel ??= promptApi('HuggingFaceTB/SmolLM2-135M-Instruct');
 * const session = await LanguageModel.create();
 * console.log(await session.prompt('Why is the sky blue?'));
 * ```
 *
 * `model`: a folder, a hub id, a GGUF file, or a loaded model.
 */
export function promptApi(model: ModelId, options: PromptApiOptions = {}): PromptApi {
  const { builtIn = false, ...load } = checkOptions('promptApi', options);
  if (typeof builtIn !== 'boolean')
    throw new ArgumentError(`promptApi: builtIn is ${describeValue(builtIn)}, expected true or false`);
  const local = new LocalPromptApi(model, load);
  const browserApi = builtIn ? (globalThis as { LanguageModel?: PromptApi }).LanguageModel : undefined;
  const choose = async (options?: CreateOptions): Promise<PromptApi> =>
    browserApi !== undefined && (await browserApi.availability(options)) !== 'unavailable' ? browserApi : local;
  return {
    availability: async (options) => (await choose(options)).availability(options),
    create: async (options) => (await choose(options)).create(options),
    dispose: () => local.dispose(),
  };
}

/** The Prompt API on a model of this package. */
class LocalPromptApi implements PromptApi {
  readonly #models: LocalModels;
  readonly #monitors = new Set<EventTarget>();
  readonly #sessions = new Set<LanguageModelSession>();
  #state: Availability = 'downloadable';

  constructor(
    private readonly model: ModelId,
    { onProgress = () => {}, ...load }: LocalModelsOptions,
  ) {
    const reportProgress: typeof onProgress = (progress) => {
      onProgress(progress);
      const share = progress.total ? progress.loaded / progress.total : 0;
      for (const monitor of this.#monitors) monitor.dispatchEvent(new ProgressOfDownload(share));
    };
    // loadModel refuses a value that is not a function.
    this.#models = new LocalModels({
      ...load,
      onProgress: typeof onProgress === 'function' ? reportProgress : onProgress,
    });
  }

  async availability(options: CreateOptions = {}): Promise<Availability> {
    try {
      checkCreation('availability', options);
      return this.#state;
    } catch (error) {
      if (error instanceof DOMException) return 'unavailable';
      throw error;
    }
  }

  async create(options: CreateOptions = {}): Promise<LanguageModelSession> {
    checkCreation('create', options);
    options.signal?.throwIfAborted();
    const monitor = new EventTarget();
    options.monitor?.(monitor);
    this.#monitors.add(monitor);
    try {
      if (this.#state === 'downloadable') this.#state = 'downloading';
      const loaded = await this.#models.chat(this.model);
      this.#state = 'available';
      monitor.dispatchEvent(new ProgressOfDownload(1));
      options.signal?.throwIfAborted();
      const session = await LocalSession.create(loaded, options);
      this.#sessions.add(session);
      return session;
    } catch (error) {
      if (this.#state === 'downloading') this.#state = 'downloadable';
      throw error;
    } finally {
      this.#monitors.delete(monitor);
    }
  }

  async dispose(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    this.#sessions.clear();
    this.#state = 'downloadable';
    await this.#models.dispose();
  }
}
