// Converts prompts of the AI SDK to messages of chat templates.

import {
  type LanguageModelV3Prompt,
  type LanguageModelV3ToolResultOutput,
  type LanguageModelV4Prompt,
  type LanguageModelV4ToolResultOutput,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import type { ChatMessage } from '../tokenizers/index.js';

type Message = LanguageModelV3Prompt[number] | LanguageModelV4Prompt[number];
type Part = Exclude<Message['content'], string>[number];
type PartOf<Type extends Part['type']> = Extract<Part, { type: Type }>;

/**
 * Converts a prompt. Throws UnsupportedFunctionalityError for parts that are not text, and for tools that a provider
 * runs.
 */
export function messagesOf(prompt: LanguageModelV3Prompt | LanguageModelV4Prompt): ChatMessage[] {
  return prompt.flatMap(templateMessages);
}

function templateMessages(message: Message): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: message.content.map(textOf).join('') }];
    case 'assistant':
      return [assistantOf(message.content)];
    case 'tool':
      return message.content.flatMap(resultOf);
  }
}

function assistantOf(parts: readonly Part[]): ChatMessage {
  const reasoning = parts.map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
  const calls = parts.filter((part) => part.type === 'tool-call');
  const texts = parts.filter((part) => part.type !== 'reasoning' && part.type !== 'tool-call');
  return {
    role: 'assistant',
    content: texts.map(textOf).join(''),
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map(callOf) }),
  };
}

function callOf({ toolCallId, toolName, input }: PartOf<'tool-call'>) {
  const callInput = input as Record<string, unknown> | string;
  return { id: toolCallId, type: 'function' as const, function: { name: toolName, arguments: callInput } };
}

/**
 * Converts the result of a tool to a message. An approval gives no message, because the approved call has its own
 * result.
 */
function resultOf(part: Part): ChatMessage[] {
  if (part.type === 'tool-approval-response') return [];
  if (part.type !== 'tool-result') throw unsupported(part.type);
  const { toolCallId, toolName, output } = part;
  return [{ role: 'tool', tool_call_id: toolCallId, name: toolName, content: outputOf(output) }];
}

function outputOf(output: LanguageModelV3ToolResultOutput | LanguageModelV4ToolResultOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'execution-denied':
      return output.reason ?? 'The user did not allow this call.';
    case 'content':
      return output.value
        .map((part) => {
          if (part.type !== 'text') throw unsupported(`tool result: ${part.type}`);
          return part.text;
        })
        .join('');
  }
}

function textOf(part: Part): string {
  if (part.type === 'text') return part.text;
  if (part.type === 'file' && /^text(\/|$)/.test(part.mediaType)) return textOfFile(part.data);
  throw unsupported(part.type === 'file' ? `file: ${part.mediaType}` : part.type);
}

/** The text of a file: the object of specification V4, or the bare value of V3. */
function textOfFile(file: PartOf<'file'>['data']): string {
  const data = typeof file === 'object' && 'type' in file ? file : ({ type: 'data', data: file } as const);
  if (data.type === 'text') return data.text;
  if (data.type !== 'data' || data.data instanceof URL) throw unsupported('file: a URL or a reference');
  return new TextDecoder().decode(bytesOf(data.data));
}

/** Returns bytes, decoded from base64 if they are a string. */
export function bytesOf(data: Uint8Array | string): Uint8Array {
  return typeof data === 'string' ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0)) : data;
}

function unsupported(part: string): UnsupportedFunctionalityError {
  const message = `simdformer: the prompt has a part '${part}', but this adapter passes only text to models`;
  return new UnsupportedFunctionalityError({ functionality: part, message });
}
