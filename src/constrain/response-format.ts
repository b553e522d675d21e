// Formats of answers as grammars.

import { checkKnown, describeValue, isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ResponseFormat, ToolCallsFormat } from '../generate/response-format.js';
import { ebnf } from './ebnf.js';
import { choice, type Expression, type Grammar, text } from './expression.js';
import { jsonGrammar, jsonSchemaGrammar } from './json-schema.js';
import { regex } from './regex.js';
import { toolCallsGrammar } from './tool-calls.js';

/** The grammar of a format. Throws ArgumentError, FormatError for what is none or is not supported. */
export function grammarOf(format: ResponseFormat): Grammar {
  if (!isObject(format)) throw new ArgumentError(`responseFormat is ${describeValue(format)}, expected an object`);
  const given = format as Readonly<Record<string, unknown>>;
  if ('type' in given) return typed(given);
  const name = (['regex', 'choices', 'grammar'] as const).find((each) => each in given);
  if (name === undefined)
    throw new ArgumentError('responseFormat has none of type, regex, choices and grammar, expected one of them');
  checkKnown('responseFormat', given, [name]);
  const value = given[name];
  if (name === 'choices') return single(choicesOf(value));
  if (name === 'regex') return single(regex(value instanceof RegExp ? value.source : textOf(name, value)));
  return ebnf(textOf(name, value));
}

function typed(given: Readonly<Record<string, unknown>>): Grammar {
  if (given.type === 'json_object') {
    checkKnown('responseFormat', given, ['type']);
    return jsonGrammar('object');
  }
  if (given.type === 'tool_calls') return toolCallsGrammar(given as unknown as ToolCallsFormat);
  if (given.type !== 'json_schema')
    throw new ArgumentError(
      `responseFormat: type is ${describeValue(given.type)}, expected json_schema or json_object or tool_calls`,
    );
  checkKnown('responseFormat', given, ['type', 'schema', 'json_schema']);
  const nested = given.json_schema as { schema?: unknown } | undefined;
  const schema = given.schema ?? (nested ? (nested.schema ?? {}) : undefined);
  if (schema === undefined) throw new ArgumentError('responseFormat: json_schema needs a schema');
  return jsonSchemaGrammar(isStandard(schema) ? standardSchema(schema) : schema);
}

function single(root: Expression): Grammar {
  return { rules: new Map([['root', root]]), root: 'root' };
}

function choicesOf(value: unknown): Expression {
  const isList = Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string');
  if (!isList) throw new ArgumentError(`responseFormat: choices is ${describeValue(value)}, expected texts`);
  return choice(...(value as string[]).map((each) => text(each)));
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new ArgumentError(`responseFormat: ${name} is ${describeValue(value)}, expected a string`);
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
    throw new ArgumentError(`responseFormat: ${(cause as Error).message}`, { cause });
  }
}
