import { useEffect, useState } from 'preact/hooks';
import type { Guest } from './guest.js';

export interface Answer<T> {
  /** The latest result. It stays until the next one is there. */
  readonly value: T | null;
  readonly complaint: string | null;
  readonly busy: boolean;
}

/**
 * Result of `compute` for `key`, in the guest's turn. Keys that were replaced meanwhile are not computed. With the key
 * null there is no result.
 */
export function useAnswer<K, T>(guest: Guest, key: K | null, compute: (key: K) => Promise<T>): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ value: null, complaint: null, busy: key !== null });
  useEffect(() => {
    if (key === null) {
      setAnswer({ value: null, complaint: null, busy: false });
      return;
    }
    let wanted = true;
    setAnswer(({ value }) => ({ value, complaint: null, busy: true }));
    guest
      .run(async () => (wanted ? compute(key) : null))
      .then(
        (value) => wanted && setAnswer({ value, complaint: null, busy: false }),
        (error: Error) => wanted && setAnswer({ value: null, complaint: error.message, busy: false }),
      );
    return () => {
      wanted = false;
    };
  }, [guest, key]);
  return answer;
}
