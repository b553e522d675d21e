import { type Endpoint, endpoint } from './endpoint.js';
import { constant, listOf, model, shape, text } from './responses.js';
import { type ServedModel, servedModel } from './served-model.js';

const OWNER = 'simdformer';

const described = ({ id, created }: ServedModel) => ({ id, object: 'model', created, owned_by: OWNER });

export function listModels(models: ReadonlyMap<string, ServedModel>): Endpoint {
  return endpoint({
    method: 'get',
    path: '/v1/models',
    operationId: 'listModels',
    summary: 'Lists the models.',
    response: shape({ object: constant('list'), data: listOf(model) }),
    handle: async () => ({ json: { object: 'list', data: [...models.values()].map(described) } }),
  });
}

export function retrieveModel(models: ReadonlyMap<string, ServedModel>): Endpoint {
  return endpoint({
    method: 'get',
    path: '/v1/models/{model}',
    operationId: 'retrieveModel',
    summary: 'Describes a model.',
    parameters: [{ name: 'model', schema: { enum: [...models.keys()] } }],
    response: model,
    handle: async (_, { model: id = '' }) => ({ json: described(servedModel(models, id)) }),
  });
}

export function health(models: ReadonlyMap<string, ServedModel>, isClosing: () => boolean): Endpoint {
  return endpoint({
    method: 'get',
    path: '/health',
    operationId: 'health',
    summary: 'Tells if the server takes requests. Needs no key.',
    response: shape({ status: text }),
    handle: async () => ({ json: { status: isClosing() ? 'closing' : 'ok', models: [...models.keys()] } }),
  });
}
