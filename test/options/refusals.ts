// Calls a function with options of wrong types, and checks what its errors say.
import { describeValue } from '../../src/core/check.js';
import { SimdformerError } from '../../src/core/errors.js';
import type { Call } from './call.js';
import type { PublicFunction, PublicOption } from './public-functions.js';
import { type WrongValue, wrongValues } from './wrong-values.js';

/** The problems with how a function treats wrong options: each wrong value and each missing field must be refused. */
export async function problemsOf({ options }: PublicFunction, { run, needed, examples }: Call): Promise<string[]> {
  const problems: string[] = [];
  const attempt = async (change: object, label: string, ...parts: (readonly string[])[]) => {
    const problem = await refusalProblem(() => run({ ...needed, ...change }), parts);
    if (problem !== null) problems.push(`${label}: ${problem}`);
  };
  for (const option of options) {
    const { name } = option;
    const example = examples[name];
    for (const [label, value, words] of wrongFor(option))
      await attempt({ [name]: value }, `${name} ${label}`, [name], ...words);
    if (option.isRequired) await attempt({ [name]: undefined }, `${name} missing`, [name]);
    if (example === undefined || option.fields.length === 0) continue;
    const [first] = option.isList ? (example as object[]) : [example as object];
    const given = (field: object) => ({ [name]: option.isList ? [{ ...first, ...field }] : { ...first, ...field } });
    for (const field of option.fields.filter((each) => each.name in (first as object))) {
      const wrong = field.name;
      for (const [label, value, words] of wrongFor(field))
        await attempt(given({ [wrong]: value }), `${name}.${wrong} ${label}`, [wrong], ...words);
      if (field.isRequired) await attempt(given({ [wrong]: undefined }), `${name}.${wrong} missing`, [wrong]);
    }
  }
  await attempt({ nonsense: 1 }, 'unknown option', ['nonsense']);
  for (const bare of [null, 7]) {
    const problem = await refusalProblem(() => run(bare), [[describeValue(bare)], ['expected']]);
    if (problem !== null) problems.push(`${bare} instead of options: ${problem}`);
  }
  return problems;
}

/** Wrong values for an option, and what the error must say: alternatives of words. */
function wrongFor({ name, refuses, choices }: PublicOption): [label: string, value: unknown, words: string[][]][] {
  return refuses.map((kind: WrongValue) => {
    const value = wrongValues[kind];
    // An error can name the first item of a list, or the unknown field of an object.
    const inside =
      kind === 'list'
        ? [`${name}[0]`, describeValue(wrongValues.list[0])]
        : kind === 'object'
          ? ['nonsense', `${name}.`]
          : [];
    const accepted = kind === 'text' ? choices.map((choice) => [choice]) : [];
    return [kind, value, [[describeValue(value), JSON.stringify(value), ...inside], EXPECTED, ...accepted]];
  });
}

/** The words with which errors introduce the accepted values. */
const EXPECTED = ['expected', 'is not a dimension of', 'there is no option'];

/** Problem with the error that a call ends with. Null if it is typed and has one of each list of words. */
async function refusalProblem(run: () => unknown, words: readonly (readonly string[])[]): Promise<string | null> {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof SimdformerError)) return `is not a typed error: ${String((error as Error)?.stack ?? error)}`;
    if (words.some(([name]) => error.message.includes(`there is no option ${name},`))) return null;
    const missing = words.filter((alternatives) => !alternatives.some((word) => error.message.includes(word)));
    return missing.length === 0 ? null : `lacks ${missing.map(([first]) => first).join(' and ')}: ${error.message}`;
  }
  return 'is accepted';
}
