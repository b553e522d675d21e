import type { LoadedModel } from '../pretrained/index.js';

/** A model that the server loads when it is first needed, and disposes of. */
export interface ManagedModel {
  /** Loads the model. */
  load: () => Promise<LoadedModel>;
  /**
   * Adapters by name. Each value is a function that adds the adapter to the model under this name, for example by
   * `loadLora`. Default: none.
   */
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
