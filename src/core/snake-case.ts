/** Converts a name to the form of Python's libraries: `maxLength` → `max_length`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
