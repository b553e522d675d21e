import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';

/** The component of a module, once it is loaded, and whether that failed. */
export function useLoaded<P>(
  load: () => Promise<{ default: ComponentType<P> }>,
): [view: ComponentType<P> | null, failed: boolean] {
  const [View, setView] = useState<ComponentType<P> | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let here = true;
    load().then(
      (module) => here && setView(() => module.default),
      () => here && setFailed(true),
    );
    return () => {
      here = false;
    };
  }, [load]);
  return [View, failed];
}
