import { useEffect, useState } from 'preact/hooks';
import type { Model } from './model.js';
import type { Session } from './session.js';

/**
 * Result of `compute` for `key`, in the session's turn. The previous result stays until the new one is there; null
 * before the first one and without a key. Keys that were replaced meanwhile are not computed.
 */
export function useResult<K extends { readonly model: Model }, T>(
  session: Session,
  key: K | null,
  compute: (key: K) => Promise<T>,
): T | null {
  const [result, setResult] = useState<T | null>(null);
  // `compute` is a new closure at every render, but depends only on the key.
  useEffect(() => {
    if (key === null) {
      setResult(null);
      return;
    }
    let wanted = true;
    session
      .run(async (model) => {
        if (!wanted || model !== key.model) return;
        const value = await compute(key);
        if (wanted) setResult(value);
      })
      .catch((error) => wanted && session.report(error));
    return () => {
      wanted = false;
    };
  }, [key]);
  return result;
}
