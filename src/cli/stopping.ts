// The end of a training in order, when the system or the user asks for it.

/** Signals that ask a program to end. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Signal = (typeof SIGNALS)[number];

export interface Stopping extends Disposable {
  readonly signal: AbortSignal;
  /** The signal that asked for it, if one did. */
  readonly by: Signal | undefined;
  now(): void;
}

/** The end of a training that a signal asks for, or `now`; until it is disposed of. */
export function stopping(): Stopping {
  const aborter = new AbortController();
  let by: Signal | undefined;
  const stop = (name: NodeJS.Signals) => {
    by ??= name as Signal;
    aborter.abort();
  };
  // Asked twice to end, a program ends at once; but a terminal that closes may say so more than once.
  for (const name of SIGNALS) process[name === 'SIGHUP' ? 'on' : 'once'](name, stop);
  return {
    signal: aborter.signal,
    get by() {
      return by;
    },
    now: () => aborter.abort(),
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.off(name, stop);
    },
  };
}
