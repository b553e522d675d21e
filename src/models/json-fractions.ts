/**
 * Keys in the text of a config.json whose number is written with a point or an exponent, or whose list has only such
 * numbers. A list such as [4, 2, 0.5] has whole numbers, too: Python reads 4 as an int.
 */
export function fractionsIn(json: string): Set<string> {
  const valued = json.matchAll(/"([^"]+)"\s*:\s*(\[[\d\s.,eE+\-[\]]*\]|-?\d[\d.eE+-]*)/g);
  const keys = Array.from(valued, ([, key, value]) => {
    const numbers = (value as string).match(/\d[\d.eE+-]*/g) ?? [];
    return numbers.length > 0 && numbers.every((number) => /[.eE]/.test(number)) ? [key as string] : [];
  });
  return new Set(keys.flat());
}
