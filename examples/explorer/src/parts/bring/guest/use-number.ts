import { useKept } from '../../../address.js';

/** A number from 0 or 1 to `most` that the address keeps. */
export function useNumber(name: string, initial: number, most: number): [number, (value: number) => void] {
  const [kept, setKept] = useKept<string>(name, `${initial}`);
  const value = Number(kept);
  return [
    Number.isInteger(value) && value >= Math.min(1, initial) && value <= most ? value : initial,
    (next) => setKept(`${next}`),
  ];
}
