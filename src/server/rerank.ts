import { type Endpoint, endpoint } from './endpoint.js';
import { ApiError } from './errors.js';
import { count, listOf, shape, text } from './responses.js';
import { array, boolean, integer, nameOf, object, optional, type Schema, string } from './schema.js';
import { type ServedModel, servedModel } from './served-model.js';

/** The maximum number of documents of a request. */
const MAX_DOCUMENTS = 1000;

const rerankBody = (model: Schema<string>) =>
  object({
    model,
    query: string({ minLength: 1 }),
    documents: array(string({ minLength: 1 }), { min: 1, max: MAX_DOCUMENTS }),
    top_n: optional(integer({ min: 1, max: MAX_DOCUMENTS })),
    return_documents: optional(boolean()),
    prompt: optional(string({ maxLength: 8192 })),
    prompt_name: optional(string({ maxLength: 512 })),
  });

/** Ranks documents by how well they answer a query, by the fields of Jina, Cohere and vLLM. */
export function rerank(models: ReadonlyMap<string, ServedModel>): Endpoint {
  const name = nameOf([...models.values()].filter(isReranker).map(({ id }) => id));
  return endpoint({
    method: 'post',
    path: '/v1/rerank',
    operationId: 'createRerank',
    summary: 'Ranks documents by how well they answer a query.',
    body: rerankBody(name),
    response: shape({
      model: text,
      results: listOf(
        shape({ index: count, relevance_score: { type: 'number' }, document: shape({ text }) }, ['document']),
      ),
    }),
    async handle(call) {
      const { body, signal } = call;
      const served = servedModel(models, body.model);
      call.note({ model: served.id });
      if (!isReranker(served))
        throw new ApiError(400, `The model '${served.id}' does not score pairs`, 'unsupported_model', 'model');
      const hits = await served.model.rank(body.query, body.documents, {
        topK: body.top_n,
        returnDocuments: body.return_documents ?? false,
        prompt: body.prompt,
        promptName: body.prompt_name,
        signal,
      });
      return {
        json: {
          model: served.id,
          results: hits.map(({ corpus_id, score, text: document }) => ({
            index: corpus_id,
            relevance_score: score,
            ...(document !== undefined && { document: { text: document } }),
          })),
        },
      };
    },
  });
}

/** True for cross-encoders, and language models that answer yes or no. */
const isReranker = ({ model }: ServedModel) =>
  model.tokenizer !== null && (model.headKind === 'sequence-classification' || model.headKind === 'language-model');
