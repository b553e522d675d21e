// Calls of tools as a grammar: the syntax is the model's, the arguments are JSON of the tool's schema.

import { checkKnown, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ToolCallSyntax, ToolCallsFormat } from '../generate/response-format.js';
import {
  choice,
  complement,
  type Expression,
  type Grammar,
  LAST,
  optional,
  repeat,
  rule,
  sequence,
  set,
  text,
} from './expression.js';
import { jsonSchemaGrammar } from './json-schema.js';

/** Throws ArgumentError without tools, and for schemas that are not supported. */
export function toolCallsGrammar(format: ToolCallsFormat): Grammar {
  checkKnown('responseFormat', format, ['type', 'tools', 'syntax', 'optional', 'parallel']);
  const { tools, syntax, optional: isOptional = false, parallel = false } = format;
  if (!Array.isArray(tools) || tools.length === 0)
    throw new ArgumentError(`responseFormat: tools is ${describeValue(tools)}, expected one at least`);
  const rules = new Map<string, Expression>();
  const calls = tools.map(({ name, parameters }, i) => {
    // Names of rules are places in a schema: those of each tool are told apart by its number.
    const own = `${i} `;
    const { rules: ofTool, root } = argumentsGrammar(name, parameters);
    for (const [place, expression] of ofTool) rules.set(own + place, renamed(expression, own));
    return sequence(text(`${syntax.open}${name}${syntax.between}`), rule(own + root), text(syntax.close));
  });
  rules.set('call', choice(...calls));
  const more = parallel ? [repeat(sequence(text(syntax.separator), rule('call')), 0)] : [];
  rules.set('calls', sequence(text(syntax.begin), rule('call'), ...more, text(syntax.end)));
  rules.set('root', isOptional ? amongText(syntax) : rule('calls'));
  return { rules, root: 'root' };
}

/** Text, behind which calls may stand where their mark is; JSON without a mark is a call where the answer begins with it. */
function amongText({ begin, open }: ToolCallSyntax): Expression {
  const mark = /^(?:<[^<>\s]+>|\[[A-Z_]+\])/.exec(begin + open)?.[0];
  if (mark !== undefined) return sequence(without(mark), optional(rule('calls')));
  const spaces = [...' \t\n\r'].map((each) => [each.charCodeAt(0), each.charCodeAt(0)] as const);
  const first = complement([...spaces, ...rangesOf('{')]);
  const other = sequence(set(...first), repeat(set([0, LAST]), 0));
  return sequence(repeat(set(...spaces), 0), optional(choice(rule('calls'), other)));
}

/** Texts in which a mark does not occur, whose first character comes in it once. */
function without(mark: string): Expression {
  const [first = ''] = mark;
  const beginnings = Array.from({ length: mark.length - 1 }, (_, i) => mark.slice(0, i + 1));
  const some = repeat(choice(...beginnings.map(text)), 0);
  // What goes on otherwise than the mark does; a beginning that another one follows is one of `some`.
  const broken = beginnings.map((each) =>
    sequence(text(each), set(...complement([...rangesOf(first), ...rangesOf(mark[each.length] as string)]))),
  );
  return sequence(repeat(choice(set(...complement(rangesOf(first))), sequence(some, choice(...broken))), 0), some);
}

function rangesOf(character: string): [number, number][] {
  const code = character.codePointAt(0) as number;
  return [[code, code]];
}

function argumentsGrammar(name: string, parameters: object = {}): Grammar {
  try {
    return jsonSchemaGrammar(Object.keys(parameters).length === 0 ? { type: 'object' } : parameters);
  } catch (cause) {
    throw new ArgumentError(`the tool '${name}': ${(cause as Error).message}`, { cause });
  }
}

function renamed(expression: Expression, prefix: string): Expression {
  const all = (list: readonly Expression[]) => list.map((each) => renamed(each, prefix));
  switch (expression.kind) {
    case 'rule':
      return rule(prefix + expression.name);
    case 'sequence':
      return sequence(...all(expression.parts));
    case 'choice':
      return choice(...all(expression.options));
    case 'repeat':
      return { ...expression, of: renamed(expression.of, prefix) };
    default:
      return expression;
  }
}
