/** What `use` returns; if it throws, `made`, which nobody would get then, is disposed of. */
export function orDispose<T>(made: { dispose(): void }, use: () => T): T {
  try {
    return use();
  } catch (error) {
    made.dispose();
    throw error;
  }
}
