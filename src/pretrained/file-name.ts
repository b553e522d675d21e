import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';

/**
 * A name of a file inside a model's folder, such as `1_Pooling/config.json`, which may come from one of its other files
 * and so from a stranger. Throws FormatError for what could lead out of the folder. Returns it.
 */
export function checkFileName(name: unknown): string {
  const isInside =
    typeof name === 'string' &&
    name.length <= 512 &&
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what is refused.
    !/[\\:\u0000-\u001f]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isInside) throw new FormatError(`${describeValue(name)} is no name of a file inside a model's folder`);
  return name;
}
