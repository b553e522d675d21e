import type { Parts } from '../core/slices.js';
import { intersectionRules } from './automaton.js';
import type { Grammar } from './expression.js';
import { regex } from './regex.js';

/** The texts that a pattern matches from start to end. */
export function* patternGrammar(pattern: string): Parts<Grammar> {
  const { expression, hasLookaheads } = regex(pattern);
  if (!hasLookaheads) return { rules: new Map([['root', expression]]), root: 'root' };
  let count = 0;
  const rules = yield* intersectionRules([expression], () => (count++ === 0 ? 'root' : `state ${count}`));
  return { rules, root: 'root' };
}
