// What a model keeps of its generations, in a file of its own: models need it that never write.

import { DisposedError } from '../core/errors.js';
import type { Generative } from './generative.js';

/** A session, as far as models know it. */
export interface KeptSession {
  dispose(): void;
}

/** The sessions of a model. */
interface Sessions {
  /** Those that wait for the next batch, the one used last at the end. */
  readonly idle: KeptSession[];
  /** Those that generate, or that a stream which nobody reads any more has left. */
  readonly busy: Set<KeptSession>;
  /** What else goes with the model. */
  readonly others: Set<{ dispose(): void }>;
}

/** null: the model was disposed of. */
const registry = new WeakMap<Generative, Sessions | null>();

/** Those of a model. Throws DisposedError if it is gone. */
export function sessionsOf(model: Generative): Sessions {
  const known = registry.get(model);
  if (known === null) throw new DisposedError('generate: the model has already been disposed');
  const sessions = known ?? { idle: [], busy: new Set(), others: new Set() };
  registry.set(model, sessions);
  return sessions;
}

/** The same, or null of a model that is gone, and undefined of one that has never written. */
export function keptOf(model: Generative): Sessions | null | undefined {
  return registry.get(model);
}

/** Lets `what` go with the model. Throws DisposedError if that is gone. */
export function disposeWith(model: Generative, what: { dispose(): void }): void {
  sessionsOf(model).others.add(what);
}

/** Takes that back. */
export function forget(model: Generative, what: { dispose(): void }): void {
  registry.get(model)?.others.delete(what);
}

/** Forgets what was recorded with a model that has changed; what is under way stays as it was. */
export function forgetSessions(model: Generative): void {
  for (const session of registry.get(model)?.idle.splice(0) ?? []) session.dispose();
}

/** Frees what the model has for generation, for good: what generates with it fails at its next step. */
export function disposeSessions(model: Generative): void {
  const { idle, busy, others } = registry.get(model) ?? { idle: [], busy: [], others: [] };
  registry.set(model, null);
  for (const each of [...idle, ...busy, ...others]) each.dispose();
}
