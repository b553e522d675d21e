// Passes wrong values to every public option, as a caller without types could. Each is refused with an error that names
// the option, the value and the accepted values. The options come from the types, so a new option is tested without
// further work.
import { afterAll, expect, it } from 'vitest';
import { openCalls } from './calls.js';
import { type PublicOption, publicFunctions } from './public-functions.js';
import { problemsOf } from './refusals.js';

const functions = publicFunctions();
const { calls, close } = await openCalls();
afterAll(close);

it('covers every public function that takes options, and nothing else', () => {
  expect(functions.map(({ name }) => name).sort()).toEqual(Object.keys(calls).sort());
});

it('has an example of each option that is an object with required fields', () => {
  const isObject = ({ fields }: PublicOption) => fields.some(({ isRequired }) => isRequired);
  const names = functions.flatMap(({ options }) => options.filter(isObject).map(({ name }) => name));
  const examples = new Set(Object.values(calls).flatMap((call) => Object.keys(call.examples)));
  expect(names.filter((name) => !examples.has(name))).toEqual([]);
});

it('undefined counts as omitted, also in types', () => {
  const refusing = functions.flatMap(({ name, options }) =>
    options.filter(({ takesUndefined }) => !takesUndefined).map((option) => `${name}: ${option.name}`),
  );
  expect(refusing).toEqual([]);
});

it.each(functions)('$name refuses wrong options by name', async (tested) => {
  const call = calls[tested.name];
  if (call === undefined) throw new Error(`no file of test/options has a call of ${tested.name}`);
  expect(await problemsOf(tested, call)).toEqual([]);
});
