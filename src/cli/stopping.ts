// Ends commands in an orderly way when the system or the user asks for it.

import { EXIT, Interruption, type Signal } from './exit.js';

const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

export interface Stopping extends Disposable {
  /** Aborts with an `Interruption` when a signal is received. */
  readonly signal: AbortSignal;
  /** The signal that was received; undefined if there was none. */
  readonly by: Signal | undefined;
  now(): void;
}

/** Listens for signals until it is disposed of. `now` stops the work, too. */
export function stopping(): Stopping {
  const aborter = new AbortController();
  let by: Signal | undefined;
  const stop = (name: NodeJS.Signals) => {
    by ??= name as Signal;
    aborter.abort(new Interruption(by));
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

/**
 * Until it is disposed of, a signal ends the program by `process.exit`, which removes unfinished files. This is for
 * work that cannot be stopped and writes files.
 */
export function exiting(): Disposable {
  const exit = (name: NodeJS.Signals) => {
    console.error(`simdformer: ${new Interruption(name as Signal).message}`);
    process.exit(EXIT[name as Signal]);
  };
  for (const name of SIGNALS) process.on(name, exit);
  return {
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.off(name, exit);
    },
  };
}
