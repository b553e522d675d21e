import { useEffect, useState } from 'preact/hooks';
import type { Model } from './model.js';
import type { Session } from './session.js';

/**
 * What `compute` makes of `key`, in the session's turn; the result before it while a new one is on its way, null before the
 * first and for no key. A key that was replaced meanwhile is not computed.
 */
export function useResult<K extends { readonly model: Model }, T>(
  session: Session,
  key: K | null,
  compute: (key: K) => Promise<T>,
): T | null {
  const [result, setResult] = useState<T | null>(null);
  // `compute` is a new closure at every render, and depends on the key alone.
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
