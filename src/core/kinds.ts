// Type checks that work across realms: `instanceof` fails for values of an iframe, and for Node's own in Jest.

interface TypedArrays {
  Float32Array: Float32Array;
  Int32Array: Int32Array;
  Uint8Array: Uint8Array;
}

export function isTyped<Kind extends keyof TypedArrays>(value: unknown, kind: Kind): value is TypedArrays[Kind];
export function isTyped(value: unknown, kind: string): boolean;
export function isTyped(value: unknown, kind: string): boolean {
  return ArrayBuffer.isView(value) && (value as Uint8Array)[Symbol.toStringTag] === kind;
}

/** True for token ids or other lists of integers. */
export const isList = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) || isTyped(value, 'Int32Array');

/**
 * True for a tensor or an object with a tensor's form. For messages, and for checks in modules that cannot import
 * Tensor.
 */
export const isTensorLike = (value: unknown): value is { readonly shape: readonly number[]; readonly dtype: string } =>
  Array.isArray((value as { shape?: unknown } | null)?.shape) &&
  typeof (value as { dtype?: unknown }).dtype === 'string';

export const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | null)?.then === 'function';

export const isSignal = (value: unknown): value is AbortSignal =>
  typeof (value as AbortSignal | null)?.throwIfAborted === 'function';

export const isUrl = (value: unknown): value is URL => typeof (value as URL | null)?.href === 'string';

export const isBlob = (value: unknown): value is Blob =>
  typeof (value as Blob | null)?.arrayBuffer === 'function' && typeof (value as Blob).slice === 'function';

export const isResponse = (value: unknown): value is Response =>
  typeof (value as Response | null)?.arrayBuffer === 'function' && typeof (value as Response).status === 'number';
