import type { DocumentInterface } from '@langchain/core/documents';
import { BaseDocumentCompressor } from '@langchain/core/retrievers/document_compressors';
import { checkOptions } from '../core/check.js';
import { checkModel, LocalModels, type LocalModelsOptions, type ModelId } from '../frameworks/local-models.js';

export interface SimdformerRerankFields {
  /** The model: a folder, a hub id, or a loaded model. */
  model: ModelId;
  /** Number of documents to keep. Default: all. */
  topN?: number | undefined;
  /** Options for loading the model. Default: none. */
  loadOptions?: LocalModelsOptions | undefined;
}

/**
 * Orders documents by how well they answer a query. The best document comes first.
 *
 * ```ts
 * const rerank = new SimdformerRerank({ model: 'cross-encoder/ms-marco-MiniLM-L6-v2', topN: 3 });
 * const best = await rerank.compressDocuments(documents, 'How do cats sleep?');
 * ```
 */
export class SimdformerRerank extends BaseDocumentCompressor {
  readonly #models: LocalModels;
  readonly #id: ModelId;
  readonly #topN: number | undefined;

  /** Throws ArgumentError for fields of other kinds. */
  constructor(fields: SimdformerRerankFields) {
    super();
    const { model, topN, loadOptions } = checkOptions('SimdformerRerank', fields, {
      model: 'any',
      topN: 'count',
      loadOptions: 'object',
    });
    checkModel('SimdformerRerank', model, loadOptions);
    this.#models = new LocalModels(loadOptions);
    this.#id = model;
    this.#topN = topN;
  }

  /** Returns the best documents, with `metadata.relevanceScore`. */
  override async compressDocuments(documents: DocumentInterface[], query: string): Promise<DocumentInterface[]> {
    const ranked = await this.rerank(documents, query);
    return ranked.map(({ index, relevanceScore }) => {
      const document = documents[index] as DocumentInterface;
      return { ...document, metadata: { ...document.metadata, relevanceScore } };
    });
  }

  /** Returns the indices of the best documents in the list, with their scores. */
  async rerank(
    documents: readonly (DocumentInterface | string)[],
    query: string,
    options: { readonly topN?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<{ index: number; relevanceScore: number }[]> {
    checkOptions('rerank', options, { topN: 'count', signal: 'signal' });
    const rank = await this.#models.pipeline('text-ranking', this.#id);
    const texts = documents.map((document) => (typeof document === 'string' ? document : document.pageContent));
    const ranked = await rank(query, texts, { top_k: options.topN ?? this.#topN, signal: options.signal });
    return ranked.map(({ corpus_id: index, score }) => ({ index, relevanceScore: score }));
  }

  /** Frees the model if it was loaded here, and the device that was opened for it. */
  dispose(): Promise<void> {
    return this.#models.dispose();
  }
}
