// Settings by the names of transformers.js.

import { isNode, nodeModule } from '../../backend/node.js';
import { ArgumentError } from '../../core/errors.js';
import { hub } from '../../pretrained/hub-options.js';
import type { ModelLocation } from '../../pretrained/open-source.js';

/** Settings of `pipeline` and the `Auto` classes. docs/configuration.md lists the environment variables beside them. */
export interface Environment {
  /** The folder that holds models by their ids, such as `models/org/name`. Default: `./models/`. */
  localModelPath: string;
  /** If true, a folder in `localModelPath` comes before the hub. Default: true. */
  allowLocalModels: boolean;
  /** If false, nothing is downloaded: a model that is not a local folder is refused. Default: true. */
  allowRemoteModels: boolean;
  /** The hub's URL. Default: the environment variable `HF_ENDPOINT`, or https://huggingface.co/. */
  remoteHost: string;
  /** The folder of downloads. Null is Hugging Face's own cache. Default: null. */
  cacheDir: string | null;
  /** Settings of caches and messages. They have no effect, but programs can set them. */
  useBrowserCache: boolean;
  useFS: boolean;
  useFSCache: boolean;
  useCustomCache: boolean;
  customCache: unknown;
  useWasmCache: boolean;
  logLevel: number;
  /** Settings of ONNX Runtime. They have no effect, but programs can set them. */
  readonly backends: { readonly onnx: Record<string, unknown> & { readonly wasm: Record<string, unknown> } };
}

/** Values of `env.logLevel`. */
export const LogLevel = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, NONE: 50 } as const;

export const env: Environment = Object.seal({
  localModelPath: './models/',
  allowLocalModels: true,
  allowRemoteModels: true,
  get remoteHost() {
    return `${hub.endpoint}/`;
  },
  set remoteHost(url: string) {
    hub.endpoint = url;
  },
  cacheDir: null,
  useBrowserCache: true,
  useFS: true,
  useFSCache: true,
  useCustomCache: false,
  customCache: null,
  useWasmCache: true,
  logLevel: 30,
  backends: { onnx: { wasm: {} } },
});

/**
 * Returns the folder of a model in `localModelPath`, or the given location. Throws ArgumentError if downloads are not
 * allowed, by the environment or by `isLocal`, and the folder is missing.
 */
export async function localOr(location: ModelLocation, isLocal = false): Promise<ModelLocation> {
  if (typeof location !== 'string' || !isNode || /^[a-z][a-z\d+.-]+:/i.test(location)) return location;
  const { existsSync } = await nodeModule<typeof import('node:fs')>('fs');
  const { join } = await nodeModule<typeof import('node:path')>('path');
  if (existsSync(location)) return location;
  const local = join(env.localModelPath, location);
  if (env.allowLocalModels && existsSync(local)) return local;
  if (env.allowRemoteModels && !isLocal) return location;
  throw new ArgumentError(
    `there is no folder ${location} or ${local}, and ${isLocal ? 'local_files_only is true' : 'env.allowRemoteModels is false'}: set env.localModelPath to the folder of models`,
  );
}
