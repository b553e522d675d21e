// Embeddings by Cohere's API.

import { randomUUID } from 'node:crypto';
import { COHERE } from './dialect.js';
import { base64, embedTexts, isEmbedder } from './embeddings.js';
import { type Endpoint, endpoint } from './endpoint.js';
import type { ModelPool } from './model-pool.js';
import { constant, count, listOf, shape, text } from './openapi-schemas.js';
import {
  array,
  integer,
  nameOf,
  object,
  oneOf,
  optional,
  refusedField,
  type Schema,
  string,
  withJson,
} from './schema.js';

/** The maximum number of texts of a request, as at Cohere. */
const MAX_TEXTS = 96;
const TYPES = ['float', 'base64', 'binary', 'ubinary'] as const;
/** The uses of texts, and ours. */
const USES = { search_query: 'query', search_document: 'document', classification: null, clustering: null } as const;

const embedBody = (model: Schema<string>) =>
  object({
    model,
    texts: array(string({ minLength: 1 }), { min: 1, max: MAX_TEXTS }),
    input_type: oneOf(Object.keys(USES) as (keyof typeof USES)[]),
    embedding_types: optional(
      withJson(array(oneOf(TYPES), { min: 1, max: TYPES.length }), {
        description: 'Integers of 8 bits are not supported: their ranges are those of each model at Cohere.',
      }),
    ),
    truncate: optional(oneOf(['NONE', 'END'])),
    output_dimension: optional(integer({ min: 1, max: 2 ** 16 })),
    priority: optional(integer({ min: 0, max: 999, description: 'Has no effect.' })),
    images: refusedField("give 'texts'"),
    inputs: refusedField("give 'texts'"),
    max_tokens: refusedField('the model has its own limit'),
  });

/** The endpoint at `/v2/embed`. */
export function cohereEmbed(models: ModelPool): Endpoint {
  const numbers = listOf(listOf({ type: 'number' }));
  return endpoint({
    method: 'post',
    path: '/v2/embed',
    operation: 'embeddings',
    operationId: 'cohereEmbed',
    summary: "Computes an embedding of each text, by Cohere's API.",
    dialect: COHERE,
    body: embedBody(nameOf(models.namesOf(isEmbedder))),
    response: shape({
      id: text,
      texts: listOf(text),
      embeddings: shape({ float: numbers, base64: listOf(text), binary: numbers, ubinary: numbers }, TYPES),
      response_type: constant('embeddings_by_type'),
      meta: shape({ api_version: shape({ version: text }), billed_units: shape({ input_tokens: count }) }),
    }),
    async handle(call) {
      const {
        model,
        texts,
        input_type: use,
        embedding_types: types = ['float'],
        truncate,
        output_dimension,
      } = call.body;
      const { vectors, tokens } = await embedTexts(call, {
        model,
        input: texts,
        use: { task: USES[use] },
        truncate: truncate !== 'NONE',
        dimensions: output_dimension,
      });
      return {
        json: {
          id: randomUUID(),
          texts,
          embeddings: Object.fromEntries(types.map((type) => [type, vectors.map(WRITERS[type])])),
          response_type: 'embeddings_by_type',
          meta: { api_version: { version: '2' }, billed_units: { input_tokens: tokens } },
        },
      };
    },
  });
}

const WRITERS: Readonly<Record<(typeof TYPES)[number], (vector: Float32Array) => unknown>> = {
  float: (vector) => [...vector],
  base64,
  ubinary: (vector) => signs(vector),
  binary: (vector) => signs(vector).map((byte) => byte - 128),
};

/** Packs the signs of 8 dimensions into a byte, as sentence-transformers does. The first one is the highest bit. */
function signs(vector: Float32Array): number[] {
  const bytes = new Array<number>(Math.ceil(vector.length / 8)).fill(0);
  for (const [i, value] of vector.entries())
    if (value > 0) bytes[i >> 3] = (bytes[i >> 3] as number) | (128 >> (i & 7));
  return bytes;
}
