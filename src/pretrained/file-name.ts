import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';

/**
 * Checks the name of a file inside a model's folder, such as `1_Pooling/config.json`, and returns it. The name may come
 * from another file of the folder, so it is untrusted. Throws FormatError for a name that could lead out of the folder.
 */
export function checkFileName(name: unknown): string {
  const isInside =
    typeof name === 'string' &&
    name.length <= 512 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are refused.
    !/[\\:\u0000-\u001f]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isInside) throw new FormatError(`${describeValue(name)} is not the name of a file inside a model's folder`);
  return name;
}
