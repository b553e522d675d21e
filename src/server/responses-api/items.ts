// Items of answers in the Responses API.

import { randomUUID } from 'node:crypto';

/** Returns a new id, such as `msg_…`. */
export const idOf = (prefix: string) => `${prefix}_${randomUUID().replaceAll('-', '')}`;

/** A message of the model, or its reasoning. */
export interface TextItem {
  readonly type: 'message' | 'reasoning';
  readonly id: string;
  status: string;
  readonly content: { readonly type: string; text: string }[];
}
/** A call of a tool. */
export interface CallItem {
  readonly type: 'function_call';
  readonly id: string;
  status: string;
  readonly call_id: string;
  readonly name: string;
  arguments: string;
}
/** An item of an answer. */
export type Item = TextItem | CallItem;

export const messageItem = () => ({
  id: idOf('msg'),
  type: 'message' as const,
  status: 'in_progress',
  role: 'assistant',
  content: [{ type: 'output_text', text: '', annotations: [], logprobs: [] }],
});
export const reasoningItem = () => ({
  id: idOf('rs'),
  type: 'reasoning' as const,
  status: 'in_progress',
  summary: [],
  content: [{ type: 'reasoning_text', text: '' }],
});
export const callItem = (id: string, name: string) => ({
  id: idOf('fc'),
  type: 'function_call' as const,
  status: 'in_progress',
  call_id: id,
  name,
  arguments: '',
});
