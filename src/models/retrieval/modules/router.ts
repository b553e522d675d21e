import { ArgumentError, FormatError } from '../../../core/errors.js';
import { Module } from '../../../nn/module.js';
import { SentenceModule, type TextFeatures, type TextTask } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

/** The modules of one route. */
class Route extends Module {
  constructor(
    readonly name: string,
    readonly steps: readonly SentenceModule[],
  ) {
    super();
  }
}

interface RouterConfig {
  readonly types: Readonly<Record<string, string>>;
  readonly structure: Readonly<Record<string, readonly string[]>>;
  readonly parameters?: {
    readonly default_route?: string | null;
    readonly allow_empty_key?: boolean;
    readonly route_mappings?: Readonly<Record<string, string>> | null;
  };
}

/** Different modules for queries and documents: sentence-transformers' Router, and Asym of its version 2. */
export class Router extends SentenceModule {
  readonly routes: readonly Route[];

  constructor(
    routes: Readonly<Record<string, readonly SentenceModule[]>>,
    private readonly defaultRoute: string | null,
    /** Names of routes by task and kind of input, as Python writes the pair. */
    private readonly mappings: Readonly<Record<string, string>> = {},
  ) {
    super();
    this.routes = Object.entries(routes).map(([name, steps]) => new Route(name, steps));
  }

  static async read({ path, config, module }: ModuleFolder): Promise<Router> {
    const file = (await config()) as unknown as RouterConfig;
    const { types, structure, parameters } = checkedConfig(path, file);
    const modules = new Map<string, SentenceModule>();
    // Routes may share a module.
    for (const [id, type] of Object.entries(types)) modules.set(id, await module(type, id));
    const routes = Object.fromEntries(
      Object.entries(structure).map(([name, ids]) => [name, ids.map((id) => modules.get(id) as SentenceModule)]),
    );
    const { default_route, allow_empty_key = true, route_mappings } = parameters ?? {};
    const first = allow_empty_key ? (Object.keys(structure)[0] as string) : null;
    return new Router(routes, default_route ?? first, route_mappings ?? {});
  }

  override route(task: TextTask): readonly SentenceModule[] {
    const name = this.#nameOf(task);
    const route = this.routes.find((candidate) => candidate.name === name);
    if (route) return route.steps.flatMap((step) => step.route(task));
    const known = this.routes.map((candidate) => candidate.name).join(', ');
    throw new ArgumentError(
      `encode: the model has no route for ${task === null ? 'texts without a task' : `the task ${task}`}, only ${known}` +
        (task === null ? ': call encodeQuery or encodeDocument' : ''),
    );
  }

  override forward(features: TextFeatures): TextFeatures {
    return this.route(features.task).reduce((state, step) => step.forward(state), features);
  }

  #nameOf(task: TextTask): string | null {
    for (const taskKey of [task, null])
      for (const kind of ['text', null]) {
        const mapped = this.mappings[`(${pythonOf(taskKey)}, ${pythonOf(kind)})`];
        if (mapped !== undefined) return mapped;
      }
    const names = this.routes.map(({ name }) => name);
    if (task !== null && names.includes(task)) return task;
    if (names.includes('text')) return 'text';
    return task === null ? this.defaultRoute : null;
  }
}

const pythonOf = (value: string | null) => (value === null ? 'None' : `'${value}'`);

function checkedConfig(path: string, config: RouterConfig): RouterConfig {
  const { types, structure } = config;
  const isKnown = (id: string) => Object.hasOwn(types, id);
  const isList = (ids: readonly string[]) => Array.isArray(ids) && ids.length > 0 && ids.every(isKnown);
  const fits =
    typeof types === 'object' &&
    types &&
    typeof structure === 'object' &&
    structure &&
    Object.keys(structure).length > 0;
  if (fits && Object.values(structure).every(isList)) return config;
  throw new FormatError(
    `${path || 'the folder'}: its router has no types and structure that name modules of each route`,
  );
}
