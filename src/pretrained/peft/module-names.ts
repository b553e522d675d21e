// PEFT's names of a model's modules: those of its checkpoint, for the model's class in transformers.

import { sectionNames } from '../../models/module-names.js';
import type { PretrainedModel } from '../../models/pretrained-model.js';

/** Names of heads that belong to a task. PEFT trains them as a whole. */
const NEW_HEADS: readonly string[] = ['sequence-classification', 'token-classification', 'question-answering'];

/**
 * Returns a function that maps names of weights to names of modules, without `.weight` or `.bias`. In a model without a
 * head, module names lack the prefix of the body, too.
 */
export function moduleNames(model: PretrainedModel): (name: string) => string {
  const prefix = model.headKind === 'none' ? commonPrefix(model) : '';
  return (name) => {
    const inner = prefix !== '' && name.startsWith(prefix) ? name.slice(prefix.length) : name;
    return model.moduleName(inner.replace(/\.(weight|bias)$/, ''));
  };
}

/**
 * Returns a function that maps names in an adapter's file to names in this model. In a model without a head, names lack
 * the prefix of the body, such as `bert.`. The result is null for parts of a head that the model does not have.
 */
export function ownNames(model: PretrainedModel, savedNames: readonly string[]): Map<string, string | null> {
  const prefix = commonPrefix(model);
  const isPrefixed = prefix !== '' && savedNames.some((name) => name.startsWith(prefix));
  const same = (name: string): string | null => name;
  const rename =
    model.headKind === 'none' && isPrefixed
      ? (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : null)
      : model.headKind !== 'none' && prefix !== '' && !isPrefixed
        ? (name: string) => `${prefix}${name}`
        : same;
  // Adapters of transformers 4 have the names of checkpoints.
  const current = (name: string | null) => {
    const inMemory = name && model.moduleName(name);
    return inMemory && sectionNames(inMemory).length > 1 ? name : inMemory;
  };
  return new Map(savedNames.map((name) => [name, current(rename(name))]));
}

/** Names of a classifier's modules outside of its body. */
export function headModules(model: PretrainedModel): string[] {
  if (!NEW_HEADS.includes(model.headKind)) return [];
  const pieces = model.statePieces();
  const rootOf = (name: string) => name.slice(0, name.indexOf('.'));
  const body = new Set(pieces.filter(({ path }) => !path.startsWith('head.')).map(({ name }) => rootOf(name)));
  const heads = pieces.filter(({ path }) => path.startsWith('head.')).map(({ name }) => rootOf(name));
  return [...new Set(heads)].filter((root) => !body.has(root));
}

/** The prefix of all names of a body, such as `bert.`, or '' if they have no common prefix. */
function commonPrefix(model: PretrainedModel): string {
  const body = model.statePieces().filter(({ path }) => !path.startsWith('head.'));
  const roots = new Set(body.map(({ name }) => name.slice(0, name.indexOf('.') + 1)));
  return roots.size === 1 ? ([...roots][0] as string) : '';
}
