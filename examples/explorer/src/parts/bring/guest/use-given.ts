import { useEffect } from 'preact/hooks';

/** Calls `open` with each file that a person drops on the page. */
export function useGiven(file: File | null, open: (file: File) => void): void {
  useEffect(() => {
    if (file) open(file);
  }, [file]);
}
