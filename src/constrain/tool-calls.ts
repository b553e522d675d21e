// Calls of tools as a grammar: the syntax is the model's, and the arguments are JSON of the tool's schema.

import type { Parts } from '../core/slices.js';
import type { ToolCallSyntax } from '../generate/response-format.js';
import type { CheckedToolCalls } from './checked-format.js';
import {
  ANY,
  choice,
  complement,
  type Expression,
  type Grammar,
  mapLeaves,
  oneOf,
  optional,
  rangeOf,
  repeat,
  rule,
  sequence,
  set,
  text,
} from './expression.js';
import { ResponseFormatError } from './format-error.js';
import { jsonSchemaGrammar } from './json-schema.js';

/** Throws ResponseFormatError, which names the tool, for schemas that are not supported. */
export function* toolCallsGrammar(format: CheckedToolCalls): Parts<Grammar> {
  const { tools, syntax, optional: isOptional, parallel } = format;
  const rules = new Map<string, Expression>();
  const calls: Expression[] = [];
  let hasFreeNames = false;
  for (const [i, { name, parameters }] of tools.entries()) {
    const { rules: ofTool, root, hasFreeNames: hasOwn } = yield* argumentsGrammar(name, parameters);
    hasFreeNames ||= hasOwn === true;
    // Tools may have rules of the same name, which get the tool's number.
    const renamed = (leaf: Expression) => (leaf.kind === 'rule' ? rule(`${i} ${leaf.name}`) : leaf);
    for (const [ruleName, expression] of ofTool) {
      rules.set(`${i} ${ruleName}`, mapLeaves(expression, renamed));
      yield;
    }
    const open = text(`${syntax.open}${name}${syntax.between}`);
    calls.push(sequence(open, rule(`${i} ${root}`), text(syntax.close)));
  }
  rules.set('call', oneOf(calls));
  const more = parallel ? [repeat(sequence(text(syntax.separator), rule('call')), 0)] : [];
  rules.set('calls', sequence(text(syntax.begin), rule('call'), ...more, text(syntax.end)));
  rules.set('root', isOptional ? amongText(syntax) : rule('calls'));
  return { rules, root: 'root', hasFreeNames };
}

/**
 * Free text, which calls may follow. The mark of the first call ends the text. If calls have no mark, an answer that
 * begins as JSON is a call.
 */
function amongText({ begin, open }: ToolCallSyntax): Expression {
  const mark = /^(?:<[^<>\s]+>|\[[A-Z_]+\])/.exec(begin + open)?.[0];
  if (mark !== undefined) return sequence(without(mark), optional(rule('calls')));
  const spaces = [...' \t\n\r'].map(rangeOf);
  const other = sequence(set(...complement([...spaces, rangeOf('{')])), repeat(set(...ANY), 0));
  return sequence(repeat(set(...spaces), 0), optional(choice(rule('calls'), other)));
}

/** Texts that do not contain a mark. The mark's first character occurs in it once. */
function without(mark: string): Expression {
  const [first = ''] = mark;
  const beginnings = Array.from({ length: mark.length - 1 }, (_, i) => mark.slice(0, i + 1));
  const some = repeat(choice(...beginnings.map(text)), 0);
  // A beginning of the mark that continues differently. A beginning that follows it is one of `some`.
  const broken = beginnings.map((beginning) =>
    sequence(text(beginning), set(...complement([rangeOf(first), rangeOf(mark[beginning.length] as string)]))),
  );
  return sequence(repeat(choice(set(...complement([rangeOf(first)])), sequence(some, choice(...broken))), 0), some);
}

function* argumentsGrammar(name: string, parameters: object = {}): Parts<Grammar> {
  try {
    return yield* jsonSchemaGrammar(Object.keys(parameters).length === 0 ? { type: 'object' } : parameters);
  } catch (cause) {
    if (!(cause instanceof ResponseFormatError)) throw cause;
    throw new ResponseFormatError(`the tool '${name}': ${cause.reason}`, { cause });
  }
}
