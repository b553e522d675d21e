import { Embeddings, type EmbeddingsParams } from '@langchain/core/embeddings';
import { checkKnown, checkOptions } from '../core/check.js';
import { embed } from '../frameworks/embed.js';
import { checkModel, LocalModels, type LocalModelsOptions, type ModelId } from '../frameworks/local-models.js';

export interface SimdformerEmbeddingsFields extends EmbeddingsParams {
  /** The model: a folder, a hub id, a GGUF file, or a loaded model. */
  model: ModelId;
  /** Dimensions to keep. Shortened vectors are normalized. Default: all. */
  dimensions?: number | undefined;
  /** Options for loading the model. Default: none. */
  loadOptions?: LocalModelsOptions | undefined;
}

/**
 * Embeddings on this machine. Queries and documents have the model's own prompts.
 *
 * ```ts
 * const embeddings = new SimdformerEmbeddings({ model: 'sentence-transformers/all-MiniLM-L6-v2' });
 * const vectors = await embeddings.embedDocuments(['a cat', 'a dog']);
 * ```
 */
export class SimdformerEmbeddings extends Embeddings {
  readonly #models: LocalModels;
  readonly #id: ModelId;
  readonly #dimensions: number | undefined;

  /** Throws ArgumentError for unknown fields and for fields of other kinds. */
  constructor({ model, dimensions, loadOptions, ...params }: SimdformerEmbeddingsFields) {
    super(params);
    checkModel('SimdformerEmbeddings', model, loadOptions);
    checkKnown('SimdformerEmbeddings', params, ['maxConcurrency', 'maxRetries', 'onFailedAttempt']);
    checkOptions('SimdformerEmbeddings', { dimensions }, { dimensions: 'count' });
    this.#models = new LocalModels(loadOptions);
    this.#id = model;
    this.#dimensions = dimensions;
  }

  override embedDocuments(documents: string[]): Promise<number[][]> {
    return this.#embed(documents, 'document');
  }

  override async embedQuery(query: string): Promise<number[]> {
    const [vector] = await this.#embed([query], 'query');
    return vector as number[];
  }

  async #embed(texts: string[], task: 'query' | 'document'): Promise<number[][]> {
    const extract = await this.#models.pipeline('feature-extraction', this.#id);
    return embed(extract, texts, { task, dimensions: this.#dimensions });
  }

  /** Frees the model if it was loaded here, and the device that was opened for it. */
  dispose(): Promise<void> {
    return this.#models.dispose();
  }
}
