import { textsOrIds } from './completions.js';
import type { TextTokens, TextUse } from './embedder.js';
import { type Call, type Endpoint, endpoint } from './endpoint.js';
import { ApiError } from './errors.js';
import { type Limits, limitsOf } from './limits.js';
import type { ModelPool } from './model-pool.js';
import { constant, count, listOf, shape, text } from './openapi-schemas.js';
import { boolean, integer, nameOf, object, oneOf, optional, type Schema, string, withJson } from './schema.js';
import type { ServedModel } from './served-model.js';

/** The maximum number of texts of a request, as at OpenAI. */
const MAX_TEXTS = 2048;

const embeddingBody = (model: Schema<string>, limits: Limits) =>
  object({
    model,
    input: textsOrIds(string({ minLength: 1 }), MAX_TEXTS, limits),
    encoding_format: optional(oneOf(['float', 'base64'])),
    dimensions: optional(
      integer({
        min: 1,
        max: limits.dimensions,
        description: 'The number of dimensions to keep. The shortened vector is normalized.',
      }),
    ),
    truncate: optional(boolean('An extension: true cuts texts that are too long. Default: false.')),
    prompt: optional(string({ maxLength: 8192, description: 'An extension: a text that goes before each text.' })),
    prompt_name: optional(
      string({ maxLength: 512, description: "An extension: the name of one of the model's prompts." }),
    ),
    input_type: optional(
      withJson(oneOf(['query', 'document']), {
        description: "An extension: the use of the texts, which chooses the model's prompt and route. Default: none.",
      }),
    ),
    user: optional(string({ maxLength: 512 })),
  });

export const isEmbedder = ({ embedder, model }: ServedModel) => embedder !== null && model.tokenizer !== null;

export function embeddings(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(isEmbedder));
  const limits = limitsOf(models, isEmbedder);
  return endpoint({
    method: 'post',
    path: '/v1/embeddings',
    operation: 'embeddings',
    operationId: 'createEmbedding',
    summary: 'Computes an embedding of each text.',
    body: embeddingBody(name, limits),
    response: shape({
      object: constant('list'),
      data: listOf(
        shape({
          object: constant('embedding'),
          index: count,
          embedding: { anyOf: [listOf({ type: 'number' }), text] },
        }),
      ),
      model: text,
      usage: shape({ prompt_tokens: count, total_tokens: count }),
    }),
    async handle(call) {
      const { body } = call;
      const use = { task: body.input_type ?? null, prompt: body.prompt, promptName: body.prompt_name };
      const { encoding_format: format = 'float', truncate = false, ...texts } = body;
      const { vectors, tokens } = await embedTexts(call, { ...texts, truncate, use });
      return {
        json: {
          object: 'list',
          data: vectors.map((vector, index) => {
            return { object: 'embedding', index, embedding: format === 'base64' ? base64(vector) : [...vector] };
          }),
          model: body.model,
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        },
      };
    },
  });
}

interface Embedding {
  readonly model: string;
  readonly input: Parameters<typeof textsOf>[0];
  readonly use: TextUse;
  readonly truncate: boolean;
  readonly dimensions?: number | undefined;
  readonly keepAliveSeconds?: number | undefined;
}

/** Returns the vectors of texts, and the number of tokens that were read. Throws ApiError and QueueFullError. */
export async function embedTexts(
  { client, signal, note, use: load }: Call<unknown>,
  { model, input, use, truncate, dimensions, keepAliveSeconds }: Embedding,
): Promise<{ vectors: Float32Array[]; tokens: number }> {
  const served = await load(model, keepAliveSeconds);
  const texts = await textsOf(input, served, use, truncate);
  const tokens = texts.reduce((sum, { ids }) => sum + ids.length, 0);
  const vectors = (await served.embedder?.embed(texts, client, signal)) ?? [];
  note({ promptTokens: tokens });
  return {
    tokens,
    vectors: vectors.map((vector) => (dimensions === undefined ? vector : truncated(vector, dimensions))),
  };
}

/** Returns the tokens of each text. Throws ApiError for a text that is too long, unless it may be cut. */
async function textsOf(
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[],
  { id, model, embedder, tokenBound }: ServedModel,
  use: TextUse,
  isCut: boolean,
): Promise<TextTokens[]> {
  if (!embedder || !model.tokenizer)
    throw new ApiError(400, `The model '${id}' does not make embeddings`, 'unsupported_model', 'model');
  const list = typeof input === 'string' || typeof input[0] === 'number' ? [input] : input;
  checkPromptName(use, model.prompts);
  const texts: TextTokens[] = [];
  for (const [i, item] of (list as (string | readonly number[])[]).entries()) {
    const invalid = (message: string, code: string) => new ApiError(400, message, code, 'input');
    const { maxTokens } = embedder;
    const tooLong = (length: string) =>
      invalid(
        `This model reads at most ${maxTokens} tokens of a text, but text ${i} of the request has ${length}: ` +
          "shorten it, or set 'truncate'",
        'context_length_exceeded',
      );
    if (typeof item === 'string' && !isCut && tokenBound(item) > maxTokens)
      throw tooLong(`at least ${tokenBound(item)}`);
    const text =
      typeof item === 'string'
        ? await embedder.tokenize(item, use, isCut)
        : { ids: item.slice(0, isCut ? maxTokens : undefined), types: null, task: use.task, promptTokens: 0 };
    const { ids } = text;
    const unknown = ids.find((token) => token >= model.vocabSize);
    if (unknown !== undefined)
      throw invalid(`'input' has the token id ${unknown}, expected ids below ${model.vocabSize}`, 'invalid_value');
    if (ids.length > maxTokens) throw tooLong(`${ids.length}`);
    texts.push(text);
  }
  return texts;
}

function checkPromptName({ prompt, promptName }: TextUse, prompts: Readonly<Record<string, unknown>>): void {
  if (promptName === undefined || prompt !== undefined || Object.hasOwn(prompts, promptName)) return;
  throw new ApiError(
    400,
    `'prompt_name' is '${promptName}', expected one of ${Object.keys(prompts).join(', ') || 'none'}`,
    'invalid_value',
    'prompt_name',
  );
}

/** Returns the first dimensions of a vector, normalized. */
function truncated(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions > vector.length)
    throw new ApiError(
      400,
      `'dimensions' is ${dimensions}, expected at most ${vector.length}`,
      'invalid_value',
      'dimensions',
    );
  const first = vector.slice(0, dimensions);
  const length = Math.hypot(...first) || 1;
  return first.map((value) => value / length);
}

/** Encodes a vector as little-endian float32 in base64, which OpenAI's clients expect. */
export function base64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [i, value] of vector.entries()) bytes.writeFloatLE(value, 4 * i);
  return bytes.toString('base64');
}
