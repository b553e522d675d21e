/** Returns the result of `use`. If it throws, `made` is disposed of, because nobody else could do so. */
export function orDispose<T>(made: { dispose(): void }, use: () => T): T {
  try {
    return use();
  } catch (error) {
    made.dispose();
    throw error;
  }
}
