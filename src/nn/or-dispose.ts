/** What `use` gives. If it throws, nobody gets `made`, and so this disposes of it. */
export function orDispose<T>(made: { dispose(): void }, use: () => T): T {
  try {
    return use();
  } catch (error) {
    made.dispose();
    throw error;
  }
}
