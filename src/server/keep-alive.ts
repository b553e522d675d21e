const UNITS: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 };

/** The form of a duration, as a regular expression. */
export const DURATION = '^-?(\\d+(\\.\\d+)?|(\\d+(\\.\\d+)?(h|ms|m|s|us|µs|ns))+)$';

/**
 * Returns the seconds of a duration in Ollama's format: a number of seconds, or text such as '5m', '1h30m' and '500ms'.
 * Negative durations mean forever: Infinity. Null for text that is not a duration.
 */
export function keepAliveOf(duration: number | string): number | null {
  if (typeof duration === 'number') return forever(duration);
  if (!new RegExp(DURATION).test(duration)) return null;
  const parts = [...duration.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns|$)/g)];
  const seconds = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit || 's'] as number), 0);
  return forever(duration.startsWith('-') ? -seconds : seconds);
}

const forever = (seconds: number) => (seconds < 0 ? Number.POSITIVE_INFINITY : seconds);
