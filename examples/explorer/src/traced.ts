import { useRef } from 'preact/hooks';
import { type Trace, trace, type Values } from 'simdformer/inspect';
import type { Pronunciation } from './pronounce.js';
import type { Session } from './session.js';
import { useResult } from './use-result.js';

/** A pronunciation, and every value that the model computes when it reads the word and, token by token, the answer. */
export interface Traced {
  readonly said: Pronunciation;
  readonly trace: Trace;
}

/** Returns the trace of the latest word that the model could read. It stays until another word or model has one. */
export function useTrace(session: Session): Traced | null {
  const { pronunciation, model, complaint } = session;
  const said = useRef<Pronunciation | null>(null);
  said.current = pronunciation.value ?? said.current;
  if (complaint.value !== null && said.current?.model !== model.value) said.current = null;
  return useResult(session, said.current, traceOf);
}

export async function traceOf(said: Pronunciation): Promise<Traced> {
  return { said, trace: await trace(said.model.transformer, said.source, said.read) };
}

/** Names of the tokens that the decoder read. */
export function readNames({ phonemes, read }: Pronunciation): string[] {
  return ['start', ...phonemes].slice(0, read.length);
}

/** Returns the token that the decoder predicted at each token that it read. An unfinished answer has no last one. */
export function saidTokens({ model, phonemes, target, read }: Pronunciation): { name: string; id: number }[] {
  const ends = model.transformer.endIds.map((id) => ({ name: 'end', id }));
  return [...target.map((id, i) => ({ name: phonemes[i] as string, id })), ...ends].slice(0, read.length);
}

/** Returns one matrix of a stack, such as that of a head. */
export function matrixOf({ shape, data }: Values, index: number): Values {
  const [rows, columns] = shape.slice(-2) as [number, number];
  const size = rows * columns;
  return { shape: [rows, columns], data: data.subarray(index * size, (index + 1) * size) };
}

/** Returns one row of a matrix. */
export function rowOf({ shape, data }: Values, row: number): Float32Array {
  const columns = shape.at(-1) as number;
  return data.subarray(row * columns, (row + 1) * columns);
}
