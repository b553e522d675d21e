// Documents by their relevance to a query, by the fields of Cohere, Jina and vLLM.

import { randomUUID } from 'node:crypto';
import { COHERE } from './dialect.js';
import { type Endpoint, endpoint } from './endpoint.js';
import { ApiError } from './errors.js';
import type { ModelPool } from './model-pool.js';
import { count, listOf, shape, text } from './openapi-schemas.js';
import { anyOf, array, boolean, integer, nameOf, object, oneOf, optional, type Schema, string } from './schema.js';

/** The maximum number of documents of a request. */
const MAX_DOCUMENTS = 1000;
const noEffect = { min: 0, max: 2 ** 31 - 1, description: 'Has no effect.' };

const document = string({ minLength: 1 });

const rerankBody = (model: Schema<string>) =>
  object({
    model,
    query: string({ minLength: 1 }),
    documents: array(anyOf('text, or an object with a text', document, object({ text: document })), {
      min: 1,
      max: MAX_DOCUMENTS,
    }),
    top_n: optional(integer({ min: 1, max: 2 ** 31 - 1, description: 'The number of documents to return.' })),
    return_documents: optional(boolean('True returns the texts of documents. Default: false.')),
    prompt: optional(string({ maxLength: 8192 })),
    prompt_name: optional(string({ maxLength: 512 })),
    // Cohere's clients send these.
    max_tokens_per_doc: optional(integer(noEffect)),
    priority: optional(integer(noEffect)),
    rank_fields: optional(array(oneOf(['text']), { max: 1 })),
  });

const response = shape({
  id: text,
  model: text,
  results: listOf(
    shape({ index: count, relevance_score: { type: 'number' }, document: shape({ text }) }, ['document']),
  ),
  meta: shape({ api_version: shape({ version: text }), billed_units: shape({ search_units: count }) }),
});

/** The endpoint at `/v1/rerank` or, for newer clients of Cohere, at `/v2/rerank`. */
export function rerank(models: ModelPool, version: '1' | '2'): Endpoint {
  return endpoint({
    method: 'post',
    path: `/v${version}/rerank`,
    operationId: version === '1' ? 'createRerank' : 'createRerankV2',
    summary: 'Ranks documents by how well they answer a query.',
    dialect: COHERE,
    body: rerankBody(nameOf(models.namesOf(({ ranker }) => ranker !== null))),
    response,
    async handle({ body, client, signal, use }) {
      const { ranker, id } = await use(body.model);
      if (!ranker) throw new ApiError(400, `The model '${id}' does not score pairs`, 'unsupported_model', 'model');
      const texts = body.documents.map((entry) => (typeof entry === 'string' ? entry : entry.text));
      const options = { topK: body.top_n, prompt: body.prompt, promptName: body.prompt_name };
      const hits = await ranker.rank(body.query, texts, options, client, signal);
      return {
        json: {
          id: randomUUID(),
          model: id,
          results: hits.map(({ corpus_id: index, score }) => ({
            index,
            relevance_score: score,
            ...(body.return_documents ? { document: { text: texts[index] } } : {}),
          })),
          meta: { api_version: { version }, billed_units: { search_units: 1 } },
        },
      };
    },
  });
}
