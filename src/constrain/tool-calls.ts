// Calls of tools as a grammar: the syntax is the model's, the arguments are JSON of the tool's schema.

import { checkKnown, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ToolCallsFormat } from '../generate/response-format.js';
import { choice, type Expression, type Grammar, repeat, rule, sequence, text } from './expression.js';
import { jsonSchemaGrammar } from './json-schema.js';

/** Throws ArgumentError without tools, and for schemas that are not supported. */
export function toolCallsGrammar(format: ToolCallsFormat): Grammar {
  checkKnown('responseFormat', format, ['type', 'tools', 'syntax', 'parallel']);
  const { tools, syntax, parallel = false } = format;
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
  rules.set('root', sequence(text(syntax.begin), rule('call'), ...more, text(syntax.end)));
  return { rules, root: 'root' };
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
