import { useEffect, useRef, useState } from 'preact/hooks';

export interface Work {
  readonly isBusy: boolean;
  /** Message of the last error; empty if the last task succeeded. */
  readonly problem: string;
  /** Runs one task at a time. `task` gets the signal of `stop`. */
  run(task: (stop: AbortSignal) => Promise<void>): Promise<void>;
  stop(): void;
}

/** Work that takes time, that a person may stop, and that shows its errors. */
export function useWork(): Work {
  const running = useRef<AbortController | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  useEffect(() => () => running.current?.abort(), []);
  return {
    isBusy,
    problem,
    stop: () => running.current?.abort(),
    async run(task) {
      if (running.current !== null) return;
      const controller = new AbortController();
      running.current = controller;
      setBusy(true);
      setProblem('');
      try {
        await task(controller.signal);
      } catch (error) {
        if (!controller.signal.aborted) setProblem((error as Error).message);
      } finally {
        running.current = null;
        setBusy(false);
      }
    },
  };
}
