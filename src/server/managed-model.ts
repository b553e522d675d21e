import type { LoadedModel } from '../pretrained/index.js';

/** A model that the server loads when it is first needed, and disposes of. */
export interface ManagedModel {
  /** Loads the model. */
  load: () => Promise<LoadedModel>;
  /** Adapters by name, each with what puts it on the model under this name, such as `loadLora`. Default: none. */
  adapters?: Readonly<Record<string, (model: LoadedModel) => Promise<unknown>>> | undefined;
  /** True loads the model at the start, and keeps it. Default: false. */
  pinned?: boolean | undefined;
  /** Bytes that the model is expected to need. Room is made for them before it loads. Default: 0, unknown. */
  bytes?: number | undefined;
}

/** True for a model that the server loads. */
export function isManaged(source: LoadedModel | ManagedModel): source is ManagedModel {
  return typeof (source as Partial<ManagedModel>).load === 'function';
}
