// Stops a training in an orderly way when the system or the user asks for it.

/** Signals that ask a program to end. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
type Signal = (typeof SIGNALS)[number];

export interface Stopping extends Disposable {
  readonly signal: AbortSignal;
  /** The signal that was received; undefined if there was none. */
  readonly by: Signal | undefined;
  now(): void;
}

/** Listens for signals until it is disposed of. `now` stops the training, too. */
export function stopping(): Stopping {
  const aborter = new AbortController();
  let by: Signal | undefined;
  const stop = (name: NodeJS.Signals) => {
    by ??= name as Signal;
    aborter.abort();
  };
  // A second signal ends the program at once, except for SIGHUP, which a closing terminal may send several times.
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
