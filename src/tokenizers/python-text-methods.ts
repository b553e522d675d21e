// Methods of Python's texts.

import { textOf, type Value } from './python-values.js';

const SPACE = '[\\t-\\r\\x1c-\\x1f \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const LEADING = new RegExp(`^${SPACE}+`);
const TRAILING = new RegExp(`${SPACE}+$`);

export function stripped(from: string, characters: unknown, start: boolean, end: boolean): string {
  if (typeof characters !== 'string') {
    const rest = start ? from.replace(LEADING, '') : from;
    return end ? rest.replace(TRAILING, '') : rest;
  }
  const set = new Set(characters);
  const all = Array.from(from);
  const first = start ? all.findIndex((character) => !set.has(character)) : 0;
  if (first < 0) return '';
  const last = end ? all.findLastIndex((character) => !set.has(character)) : all.length - 1;
  return all.slice(first, last + 1).join('');
}

/** The plain value of an argument, as functions of the engine get it. */
const plainOf = (value: unknown): string[] =>
  Array.isArray(value) ? value.map((item: Value) => textOf(item)) : [String(value)];

/** Methods of Python's texts that the engine lacks, or treats in another way. */
export const methods: Readonly<Record<string, (self: string, ...args: unknown[]) => unknown>> = {
  strip: (self, characters) => stripped(self, characters, true, true),
  lstrip: (self, characters) => stripped(self, characters, true, false),
  rstrip: (self, characters) => stripped(self, characters, false, true),
  startswith: (self, starts) => plainOf(starts).some((prefix) => self.startsWith(prefix)),
  endswith: (self, ends) => plainOf(ends).some((suffix) => self.endsWith(suffix)),
  removeprefix: (self, start) => (self.startsWith(String(start)) ? self.slice(String(start).length) : self),
  removesuffix: (self, end) => (end && self.endsWith(String(end)) ? self.slice(0, -String(end).length) : self),
  join: (self, items) => plainOf(items).join(self),
  find: (self, part) => self.indexOf(String(part)),
  rfind: (self, part) => self.lastIndexOf(String(part)),
  count: (self, part) => self.split(String(part)).length - 1,
  isdigit: (self) => /^\p{Nd}+$/u.test(self),
  isalpha: (self) => /^\p{L}+$/u.test(self),
  isspace: (self) => new RegExp(`^${SPACE}+$`).test(self),
  splitlines: (self) =>
    self.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/).slice(0, /[\n\r]$|^$/.test(self) ? -1 : undefined),
};

/** `self.format(…)` of Python with fields without a format of their own. */
export function formatted(self: string, args: readonly Value[], named: ReadonlyMap<string, Value>): string {
  let next = 0;
  return self.replace(/\{\{|\}\}|\{(\w*)\}/g, (all, field: string | undefined) => {
    if (field === undefined) return all[0] as string;
    const value = /^\d*$/.test(field) ? args[field === '' ? next++ : Number(field)] : named.get(field);
    if (value === undefined) throw new Error(`format has no argument for {${field}}`);
    return textOf(value);
  });
}
