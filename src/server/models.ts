import { type Endpoint, endpoint } from './endpoint.js';
import type { ModelEntry, ModelPool } from './model-pool.js';
import { constant, listOf, model, shape, text } from './openapi-schemas.js';

const OWNER = 'simdformer';

/**
 * A model by a name: its own, or `model:adapter`. `status` is llama.cpp's. `type`, `display_name` and `created_at` are
 * Anthropic's.
 */
const described = ({ created, state }: ModelEntry, id: string) => ({
  id,
  object: 'model',
  created,
  owned_by: OWNER,
  status: { value: state },
  type: 'model',
  display_name: id,
  created_at: new Date(created * 1000).toISOString(),
});

export function listModels(models: ModelPool): Endpoint {
  return endpoint({
    method: 'get',
    path: '/v1/models',
    operationId: 'listModels',
    summary: 'Lists the models, in memory or not.',
    response: shape({
      object: constant('list'),
      data: listOf(model),
      has_more: { const: false },
      first_id: text,
      last_id: text,
    }),
    async handle() {
      const { names } = models;
      const data = names.map((name) => described(models.entry(name), name));
      // Anthropic's clients read pages.
      return { json: { object: 'list', data, has_more: false, first_id: names[0], last_id: names.at(-1) } };
    },
  });
}

export function retrieveModel(models: ModelPool): Endpoint {
  return endpoint({
    method: 'get',
    path: '/v1/models/{model}',
    operationId: 'retrieveModel',
    summary: 'Describes a model.',
    parameters: [{ name: 'model', schema: { enum: models.names } }],
    response: model,
    handle: async (_, { model: id = '' }) => ({ json: described(models.entry(id), id) }),
  });
}

/** Names of models are not told, because this path needs no key. */
export function health(isClosing: () => boolean): Endpoint {
  return endpoint({
    method: 'get',
    path: '/health',
    isPublic: true,
    operationId: 'health',
    summary: 'Tells if the server takes requests. Needs no key.',
    response: shape({ status: text }),
    handle: async () => ({ json: { status: isClosing() ? 'closing' : 'ok' } }),
  });
}
