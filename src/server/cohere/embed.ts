// Embeddings by Cohere's API.

import { randomUUID } from 'node:crypto';
import { COHERE } from '../dialect.js';
import { base64, embedTexts, isEmbedder } from '../embeddings.js';
import { type Endpoint, endpoint } from '../endpoint.js';
import type { ModelPool } from '../model-pool.js';
import { constant, count, listOf, shape, text } from '../openapi-schemas.js';
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
} from '../schema.js';

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

const BY_TYPE = constant('embeddings_by_type');
const numbers = listOf(listOf({ type: 'number' }));
const byType = shape({ float: numbers, base64: listOf(text), binary: numbers, ubinary: numbers }, TYPES);

/** The endpoints at `/v1/embed` and `/v2/embed`. Version 1 answers without types if a request names none. */
export const cohereEmbed = (models: ModelPool): Endpoint[] => [embedOf(models, '1'), embedOf(models, '2')];

function embedOf(models: ModelPool, version: '1' | '2'): Endpoint {
  return endpoint({
    method: 'post',
    path: `/v${version}/embed`,
    operation: 'embeddings',
    operationId: version === '1' ? 'cohereFormerEmbed' : 'cohereEmbed',
    summary: `Computes an embedding of each text, by version ${version} of Cohere's API.`,
    dialect: COHERE,
    body: embedBody(nameOf(models.namesOf(isEmbedder))),
    response: shape({
      id: text,
      texts: listOf(text),
      embeddings: version === '1' ? { anyOf: [numbers, byType] } : byType,
      response_type: version === '1' ? { enum: ['embeddings_floats', 'embeddings_by_type'] } : BY_TYPE,
      meta: shape({ api_version: shape({ version: text }), billed_units: shape({ input_tokens: count }) }),
    }),
    async handle(call) {
      const { model, texts, input_type: use, embedding_types: types, truncate, output_dimension } = call.body;
      const isPlain = version === '1' && types === undefined;
      const written = types ?? ['float'];
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
          embeddings: isPlain
            ? vectors.map(WRITERS.float)
            : Object.fromEntries(written.map((type) => [type, vectors.map(WRITERS[type])])),
          response_type: isPlain ? 'embeddings_floats' : 'embeddings_by_type',
          meta: { api_version: { version }, billed_units: { input_tokens: tokens } },
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
