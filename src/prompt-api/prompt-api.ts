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

/** Options of `promptApi`: those of `loadModel`, and the following. */
export interface PromptApiOptions extends LocalModelsOptions {
  /** True to use the browser's own model where it has one. Default: false. */
  builtIn?: boolean | undefined;
}

/** Progress of the download. */
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
  const monitors = new Set<EventTarget>();
  const { onProgress = () => {} } = load;
  const told: typeof onProgress = (progress) => {
    onProgress(progress);
    const share = progress.total ? progress.loaded / progress.total : 0;
    for (const monitor of monitors) monitor.dispatchEvent(new ProgressOfDownload(share));
  };
  // Another value than a function is left to loadModel, which refuses it.
  const models = new LocalModels({ ...load, onProgress: typeof onProgress === 'function' ? told : onProgress });
  const own = builtIn ? (globalThis as { LanguageModel?: PromptApi }).LanguageModel : undefined;
  const sessions = new Set<LanguageModelSession>();
  let state: Availability = 'downloadable';

  const useBuiltIn = async (options?: CreateOptions) =>
    own !== undefined && (await own.availability(options)) !== 'unavailable';

  return {
    async availability(options = {}) {
      if (await useBuiltIn(options)) return (own as PromptApi).availability(options);
      try {
        checkCreation('availability', options);
        return state;
      } catch (error) {
        if (error instanceof DOMException) return 'unavailable';
        throw error;
      }
    },

    async create(options = {}) {
      if (await useBuiltIn(options)) return (own as PromptApi).create(options);
      checkCreation('create', options);
      options.signal?.throwIfAborted();
      const monitor = new EventTarget();
      options.monitor?.(monitor);
      monitors.add(monitor);
      try {
        if (state === 'downloadable') state = 'downloading';
        const loaded = await models.chat(model);
        state = 'available';
        monitor.dispatchEvent(new ProgressOfDownload(1));
        options.signal?.throwIfAborted();
        const session = await LocalSession.create(loaded, options);
        sessions.add(session);
        return session;
      } catch (error) {
        if (state === 'downloading') state = 'downloadable';
        throw error;
      } finally {
        monitors.delete(monitor);
      }
    },

    async dispose() {
      for (const session of sessions) session.destroy();
      sessions.clear();
      state = 'downloadable';
      await models.dispose();
    },
  };
}
