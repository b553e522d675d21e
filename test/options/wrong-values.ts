/** A value of each kind. `publicFunctions` compares their types with those of options, and tests pass those that do not fit. */
export const wrongValues: {
  readonly text: string;
  readonly number: number;
  readonly boolean: true;
  readonly object: { readonly nonsense: number };
  readonly list: readonly { readonly nonsense: number }[];
  readonly nothing: null;
} = { text: 'wrong', number: 7.5, boolean: true, object: { nonsense: 1 }, list: [{ nonsense: 1 }], nothing: null };

export type WrongValue = keyof typeof wrongValues;
