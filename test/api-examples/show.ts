/** A value in the form of the examples' comments: numbers with four digits, typed arrays like arrays. */
export function show(value: unknown): string {
  return typeof value === 'string' ? value : inside(value);
}

function inside(value: unknown): string {
  if (typeof value === 'number') return `${Number.isInteger(value) ? value : +value.toPrecision(4)}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return `'${value.replaceAll('\n', '\\n')}'`;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (ArrayBuffer.isView(value) || value instanceof Set)
    return inside(Array.from(value as Iterable<unknown> & ArrayBufferView));
  if (Array.isArray(value)) return `[${value.map(inside).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return `${value}`;
  return `{ ${Object.entries(value)
    .map(([name, entry]) => `${name}: ${inside(entry)}`)
    .join(', ')} }`;
}
