// The hash of the page's address. It names a part, `#look-inside`, and optionally a token of a head:
// `#look-inside/encoder/3/2/4` has layer, head and token, counted from 1. Values that a person entered follow a question
// mark: `#bring?view=schema&text=Once`.
import { useState } from 'preact/hooks';
import type { HeadId } from 'simdformer/inspect';

/** A head, and the token whose query is shown. */
export interface Place extends HeadId {
  readonly token: number;
}

const ATTENTIONS: readonly string[] = ['encoder', 'decoder', 'cross'] satisfies HeadId['attention'][];

export function partInAddress(): string {
  return location.hash.slice(1).split(/[/?]/)[0] as string;
}

/** Returns the place in the address. Null if there is none, or it is invalid. */
export function placeInAddress(): Place | null {
  const [, attention = '', ...counted] = (location.hash.split('?')[0] as string).split('/');
  const [layer, head, token] = counted.map((number) => Number(number) - 1) as [number, number, number];
  const fits = counted.length === 3 && [layer, head, token].every((number) => Number.isInteger(number) && number >= 0);
  return fits && ATTENTIONS.includes(attention)
    ? { attention: attention as HeadId['attention'], layer, head, token }
    : null;
}

export function addressOf(part: string, { attention, layer, head, token }: Place): string {
  return `#${part}/${attention}/${layer + 1}/${head + 1}/${token + 1}`;
}

/** Longer values are not kept in the address. */
const MAX_KEPT = 1000;

function kept(): URLSearchParams {
  return new URLSearchParams(location.hash.split('?')[1]);
}

function keep(values: URLSearchParams): void {
  const [path] = location.hash.split('?');
  const query = values.toString();
  history.replaceState(history.state, '', query ? `${path}?${query}` : `${path}`);
}

/** A value that a person enters, and a function that sets it. The address keeps it, so that links restore it. */
export function useKept<T extends string>(name: string, initial: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => (kept().get(name) as T | null) ?? initial);
  const set = (next: T) => {
    setValue(() => next);
    const values = kept();
    if (next === initial || next.length > MAX_KEPT) values.delete(name);
    else values.set(name, next);
    keep(values);
  };
  return [value, set];
}

/** Removes all values from the address. */
export function forgetKept(): void {
  keep(new URLSearchParams());
}
