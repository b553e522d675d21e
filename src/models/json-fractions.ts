/** Keys in the text of a config.json whose numbers (or list elements) are written with a point or an exponent. */
export function fractionsIn(json: string): Set<string> {
  const number = String.raw`-?\d+(?:\.\d|[eE])`;
  return new Set(
    Array.from(
      json.matchAll(new RegExp(`"([^"]+)"\\s*:\\s*(?:\\[[^\\]{]*?)?${number}`, 'g')),
      ([, key]) => key as string,
    ),
  );
}
