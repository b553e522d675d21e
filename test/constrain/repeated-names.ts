/** The names that a JSON object in `json` has twice; `JSON.parse` does not tell. */
export function repeatedNames(json: string): string[] {
  const repeated: string[] = [];
  const open: (Set<string> | null)[] = [];
  // Strings with the colon of a name, and brackets. The text is known to be valid JSON.
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"\s*:?|[{}[\]]/g)) {
    if (token === '{' || token === '[') open.push(token === '{' ? new Set() : null);
    else if (token === '}' || token === ']') open.pop();
    else if (token.endsWith(':')) {
      const name = JSON.parse(token.slice(0, -1)) as string;
      const names = open.at(-1);
      if (names?.has(name)) repeated.push(name);
      names?.add(name);
    }
  }
  return repeated;
}
