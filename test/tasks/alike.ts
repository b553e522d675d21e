import { expect } from 'vitest';

/** Numbers agree within the rounding of float32 and of six digits, all else exactly. More members are allowed. */
export function expectAlike(actual: unknown, expected: unknown, path: string): void {
  if (typeof expected === 'number' && typeof actual === 'number')
    expect(Math.abs(actual - expected), `${path}: ${actual}, expected ${expected}`).toBeLessThan(
      2e-5 * Math.max(1, Math.abs(expected)),
    );
  else if (Array.isArray(expected)) {
    expect(actual, path).toHaveLength(expected.length);
    for (const [i, each] of expected.entries()) expectAlike((actual as unknown[])[i], each, `${path}[${i}]`);
  } else if (typeof expected === 'object' && expected !== null)
    for (const [name, each] of Object.entries(expected))
      expectAlike((actual as Record<string, unknown>)[name], each, `${path}.${name}`);
  else expect(actual, path).toBe(expected);
}
