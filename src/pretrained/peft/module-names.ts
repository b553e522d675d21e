// PEFT's names of the modules of a model: those of its checkpoint, by the class of transformers.

import type { PretrainedModel } from '../../models/pretrained-model.js';

/** Heads that a task brings, which are trained whole. */
const NEW_HEADS: readonly string[] = ['sequence-classification', 'token-classification', 'question-answering'];

/**
 * Maps names of the family's table to names of modules, without `.weight` or `.bias`. In a model without a head, they
 * lack the body's prefix, too.
 */
export function moduleNames(model: PretrainedModel): (name: string) => string {
  const prefix = model.headKind === 'none' ? commonPrefix(model) : '';
  return (name) => {
    const own = prefix !== '' && name.startsWith(prefix) ? name.slice(prefix.length) : name;
    return own.replace(/\.(weight|bias)$/, '');
  };
}

/**
 * Maps names in an adapter's file to those of this model. In a model without a head, names lack the body's prefix, such
 * as `bert.`. Null for parts of a head that the model does not have.
 */
export function ownNames(model: PretrainedModel, given: readonly string[]): Map<string, string | null> {
  const prefix = commonPrefix(model);
  const isPrefixed = prefix !== '' && given.some((name) => name.startsWith(prefix));
  const same = (name: string): string | null => name;
  const rename =
    model.headKind === 'none' && isPrefixed
      ? (name: string) => (name.startsWith(prefix) ? name.slice(prefix.length) : null)
      : model.headKind !== 'none' && prefix !== '' && !isPrefixed
        ? (name: string) => `${prefix}${name}`
        : same;
  return new Map(given.map((name) => [name, rename(name)]));
}

/** The names of a classifier's modules that are outside of its body. */
export function headModules(model: PretrainedModel): string[] {
  if (!NEW_HEADS.includes(model.headKind)) return [];
  const pieces = model.statePieces();
  const rootOf = (name: string) => name.slice(0, name.indexOf('.'));
  const body = new Set(pieces.filter(({ path }) => !path.startsWith('head.')).map(({ name }) => rootOf(name)));
  const heads = pieces.filter(({ path }) => path.startsWith('head.')).map(({ name }) => rootOf(name));
  return [...new Set(heads)].filter((root) => !body.has(root));
}

/** The prefix of all names of a body, such as `bert.`; '' if they differ. */
function commonPrefix(model: PretrainedModel): string {
  const body = model.statePieces().filter(({ path }) => !path.startsWith('head.'));
  const roots = new Set(body.map(({ name }) => name.slice(0, name.indexOf('.') + 1)));
  return roots.size === 1 ? ([...roots][0] as string) : '';
}
