const UNITS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 };

/**
 * Returns the seconds of a duration in Ollama's format: a number of seconds, or text such as '5m', '1h30m' and '500ms'.
 * Negative durations mean forever: Infinity. Null for text that is not a duration.
 */
export function keepAliveOf(duration: number | string): number | null {
  if (typeof duration === 'number' || /^-?\d+(\.\d+)?$/.test(duration)) return forever(Number(duration));
  const [, sign, units] = /^(-?)((?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+)$/.exec(duration) ?? [];
  if (units === undefined) return null;
  const parts = [...units.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g)];
  const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit as string] as number), 0);
  return forever(sign === '-' ? -seconds : seconds);
}

const forever = (seconds: number) => (seconds < 0 ? Number.POSITIVE_INFINITY : seconds);
