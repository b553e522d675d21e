// Formats of answers as grammars.

import { checkKnown, describeValue, isObject } from '../core/check.js';
import { ArgumentError, SimdformerError } from '../core/errors.js';
import type { ResponseFormat } from '../generate/response-format.js';
import { ebnf } from './ebnf.js';
import { choice, type Expression, type Grammar, text } from './expression.js';
import { jsonGrammar, jsonSchemaGrammar } from './json-schema.js';
import { regex } from './regex.js';

/** The grammar of a format. Throws ArgumentError, FormatError for what is none or is not supported. */
export async function grammarOf(format: ResponseFormat): Promise<Grammar> {
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

async function typed(given: Readonly<Record<string, unknown>>): Promise<Grammar> {
  if (given.type === 'json_object') {
    checkKnown('responseFormat', given, ['type']);
    return jsonGrammar('object');
  }
  if (given.type !== 'json_schema')
    throw new ArgumentError(
      `responseFormat: type is ${describeValue(given.type)}, expected json_schema or json_object`,
    );
  checkKnown('responseFormat', given, ['type', 'schema', 'json_schema']);
  const nested = given.json_schema as { schema?: unknown } | undefined;
  const schema = given.schema ?? (nested ? (nested.schema ?? {}) : undefined);
  if (schema === undefined) throw new ArgumentError('responseFormat: json_schema needs a schema');
  return jsonSchemaGrammar(isZod(schema) ? await ofZod(schema) : schema);
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

function isZod(schema: unknown): boolean {
  const { '~standard': standard } = Object(schema) as { '~standard'?: { vendor?: string } };
  return standard?.vendor === 'zod';
}

async function ofZod(schema: unknown): Promise<unknown> {
  const { toJSONSchema } = await import('zod').catch((cause: Error) => {
    throw new SimdformerError(`responseFormat: a schema of zod needs zod 4: npm install zod (${cause.message})`, {
      cause,
    });
  });
  try {
    return toJSONSchema(schema as never);
  } catch (cause) {
    throw new ArgumentError(`responseFormat: ${(cause as Error).message}`, { cause });
  }
}
