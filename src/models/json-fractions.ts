/** A list of numbers. transformers writes infinity as `{"__float__": "Infinity"}`. */
const LIST = /\[(?:[\d\s.,eE+\-[\]]|\{\s*"__float__"\s*:\s*"[^"]*"\s*\})*\]/.source;
const VALUED = new RegExp(`"([^"]+)"\\s*:\\s*(${LIST}|-?\\d[\\d.eE+-]*)`, 'g');

/**
 * Keys in the text of a config.json whose number is written with a point or an exponent, or whose list has only such
 * numbers. A list such as [4, 2, 0.5] has whole numbers, too: Python reads 4 as an int.
 */
export function fractionsIn(json: string): Set<string> {
  const valued = json.matchAll(VALUED);
  const keys = Array.from(valued, ([, key, value]) => {
    const numbers = (value as string).match(/\d[\d.eE+-]*/g) ?? [];
    return numbers.length > 0 && numbers.every((number) => /[.eE]/.test(number)) ? [key as string] : [];
  });
  return new Set(keys.flat());
}
