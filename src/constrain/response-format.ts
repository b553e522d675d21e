// Response formats: every option is checked here, whatever the caller's types are, and read as a grammar.

import { checkOptions, describeValue, isObject, type OptionKind, type OptionRule, orNull } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Parts } from '../core/slices.js';
import type { CallableTool, ResponseFormat, ToolCallSyntax } from '../generate/response-format.js';
import { intersectionRules } from './automaton.js';
import { CALL_SYNTAXES } from './call-syntax.js';
import type { CheckedFormat } from './checked-format.js';
import { ebnf } from './ebnf.js';
import { type Expression, type Grammar, oneOf, text } from './expression.js';
import { ResponseFormatError } from './format-error.js';
import { jsonCopy } from './json-limits.js';
import { jsonSchemaGrammar } from './json-schema.js';
import { regex } from './regex.js';
import { toolCallsGrammar } from './tool-calls.js';

const EXPECTED = "an object with one of type ('json_schema', 'json_object' or 'tool_calls'), regex, choices or grammar";

/**
 * Checks a format. `defaultSyntax` is how the model writes calls of tools. Throws ResponseFormatError, which names the
 * option, its value and the accepted values.
 */
export function checkFormat(format: ResponseFormat, defaultSyntax: ToolCallSyntax): CheckedFormat {
  if (!isObject(format)) throw new ResponseFormatError(`the value is ${describeValue(format)}, expected ${EXPECTED}`);
  const fields: Readonly<Record<string, unknown>> = format;
  const kinds = ['type', 'regex', 'choices', 'grammar'] as const;
  const kind = kinds.find((name) => fields[name] !== undefined);
  switch (kind) {
    case 'type':
      return typed(fields, defaultSyntax);
    case 'regex': {
      check('', fields, { regex: { accepts: isPattern, expected: 'a regular expression, as text or as a RegExp' } });
      return { type: 'regex', pattern: fields.regex instanceof RegExp ? fields.regex.source : String(fields.regex) };
    }
    case 'choices':
      check('', fields, { choices: TEXTS });
      return { type: 'choices', choices: [...(fields.choices as string[])] };
    case 'grammar':
      check('', fields, { grammar: 'string' });
      return { type: 'grammar', source: fields.grammar as string };
    default:
      throw new ResponseFormatError(`none of ${kinds.join(', ')} is given, expected ${EXPECTED}`);
  }
}

/** The grammar of a format, in slices. */
export function* grammarOf(format: CheckedFormat): Parts<Grammar> {
  switch (format.type) {
    case 'json_schema':
      return yield* jsonSchemaGrammar(format.schema);
    case 'regex':
      return yield* patternGrammar(format.pattern);
    case 'choices':
      return single(oneOf(format.choices.map((choice) => text(choice))));
    case 'grammar':
      return ebnf(format.source);
    case 'tool_calls':
      return yield* toolCallsGrammar(format);
  }
}

function single(root: Expression): Grammar {
  return { rules: new Map([['root', root]]), root: 'root' };
}

const isPattern = (value: unknown) => typeof value === 'string' || value instanceof RegExp;

const TEXTS: OptionRule = {
  accepts: (value) => Array.isArray(value) && value.length > 0 && value.every((choice) => typeof choice === 'string'),
  expected: 'an array of texts, at least one',
};

const TYPES = ['json_schema', 'json_object', 'tool_calls'] as const;

function typed(fields: Readonly<Record<string, unknown>>, defaultSyntax: ToolCallSyntax): CheckedFormat {
  switch (fields.type) {
    case 'json_object':
      check('', fields, { type: TYPES });
      return { type: 'json_schema', schema: { type: 'object' } };
    case 'json_schema':
      return { type: 'json_schema', schema: schemaOf(fields) };
    case 'tool_calls':
      return toolCalls(fields, defaultSyntax);
    default:
      throw new ResponseFormatError(`type is ${describeValue(fields.type)}, expected one of ${TYPES.join(', ')}`);
  }
}

/** `schema` as such, or within `json_schema` as OpenAI has it. */
function schemaOf(fields: Readonly<Record<string, unknown>>): unknown {
  check('', fields, { type: TYPES, schema: 'any', json_schema: 'object' });
  const { schema, json_schema: nested } = fields;
  if (schema === undefined && nested === undefined)
    throw new ResponseFormatError('schema is missing, expected a JSON Schema, or a schema of zod 4 or another library');
  const wanted = schema === undefined ? ((nested as { schema?: unknown }).schema ?? {}) : schema;
  const plain = isStandard(wanted) ? standardSchema(wanted) : wanted;
  if (typeof plain !== 'boolean' && !isObject(plain))
    throw new ResponseFormatError(
      `schema is ${describeValue(plain)}, expected a JSON Schema, or a schema of zod 4 or another library`,
    );
  return jsonCopy('the schema', plain);
}

function toolCalls(fields: Readonly<Record<string, unknown>>, defaultSyntax: ToolCallSyntax): CheckedFormat {
  check('', fields, { type: TYPES, tools: 'array', syntax: SYNTAX, optional: 'boolean', parallel: 'boolean' });
  const { tools = [], syntax = defaultSyntax, optional = false, parallel = false } = fields;
  if ((tools as unknown[]).length === 0)
    throw new ResponseFormatError('tools is empty or missing, expected at least one');
  return {
    type: 'tool_calls',
    tools: (tools as unknown[]).map((tool, i) => toolOf(tool, `tools[${i}]`)),
    syntax:
      typeof syntax === 'string' ? CALL_SYNTAXES[syntax as keyof typeof CALL_SYNTAXES] : (syntax as ToolCallSyntax),
    optional: optional as boolean,
    parallel: parallel as boolean,
  };
}

function toolOf(tool: unknown, path: string): CallableTool {
  if (!isObject(tool))
    throw new ResponseFormatError(`${path} is ${describeValue(tool)}, expected an object like { name, parameters }`);
  if (tool.function !== undefined) {
    check(path, tool, { type: ['function'], function: 'object' });
    return toolOf(tool.function, `${path}.function`);
  }
  check(path, tool, { name: NAME, description: 'string', parameters: 'object', strict: orNull('boolean') });
  if (tool.name === undefined) throw new ResponseFormatError(`${path}.name is missing, expected ${NAME.expected}`);
  const { name, parameters = {} } = tool as unknown as CallableTool;
  return { name, parameters: jsonCopy(`the schema of the tool '${name}'`, parameters) as Record<string, unknown> };
}

const NAME: OptionRule = { accepts: (value) => typeof value === 'string' && value !== '', expected: 'a name' };

const SYNTAX_PARTS = ['begin', 'end', 'open', 'between', 'close', 'separator'] as const;

const SYNTAX: OptionRule = {
  accepts: (value) =>
    typeof value === 'string'
      ? Object.hasOwn(CALL_SYNTAXES, value)
      : isObject(value) &&
        Object.keys(value).length === SYNTAX_PARTS.length &&
        SYNTAX_PARTS.every((name) => typeof value[name] === 'string'),
  expected: `one of ${Object.keys(CALL_SYNTAXES).join(', ')}, or an object of the texts ${SYNTAX_PARTS.join(', ')}`,
};

/** Refuses unknown options, and options of another kind. `path` is where the options are, '' for the format itself. */
function check(path: string, options: object, kinds: Readonly<Record<string, OptionKind>>): void {
  try {
    checkOptions('responseFormat', options, kinds as never);
  } catch (cause) {
    if (!(cause instanceof ArgumentError)) throw cause;
    const problem = cause.message.slice('responseFormat: '.length);
    const between = problem.startsWith('there is no option') ? ': ' : '.';
    throw new ResponseFormatError(path === '' ? problem : `${path}${between}${problem}`, { cause });
  }
}

/** A schema of zod 4, or of another library that tells its JSON Schema (https://standardschema.dev/json-schema). */
interface StandardSchema {
  readonly '~standard': { readonly jsonSchema: { output(options: { target: string }): unknown } };
}

function isStandard(schema: unknown): schema is StandardSchema {
  const { '~standard': standard } = Object(schema) as Partial<StandardSchema>;
  return typeof standard?.jsonSchema?.output === 'function';
}

function standardSchema(schema: StandardSchema): unknown {
  try {
    return schema['~standard'].jsonSchema.output({ target: 'draft-2020-12' });
  } catch (cause) {
    throw new ResponseFormatError((cause as Error).message, { cause });
  }
}

/** The texts that a pattern matches from start to end. */
function* patternGrammar(pattern: string): Parts<Grammar> {
  const { expression, hasLookaheads } = regex(pattern);
  if (!hasLookaheads) return { rules: new Map([['root', expression]]), root: 'root' };
  let count = 0;
  const rules = yield* intersectionRules([expression], () => (count++ === 0 ? 'root' : `state ${count}`));
  return { rules, root: 'root' };
}
