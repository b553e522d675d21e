// Converts prompts of the AI SDK to messages of chat templates.

import {
  type LanguageModelV3Prompt,
  type LanguageModelV3ToolResultOutput,
  type LanguageModelV4Prompt,
  type LanguageModelV4ToolResultOutput,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import { bytesOf } from '../frameworks/base64.js';
import type { ChatMessage } from '../tokenizers/index.js';

type Message = LanguageModelV3Prompt[number] | LanguageModelV4Prompt[number];
type Part = Exclude<Message['content'], string>[number];
type PartOf<Type extends Part['type']> = Extract<Part, { type: Type }>;

/**
 * Converts a prompt. Images become parts with their bytes. Throws UnsupportedFunctionalityError for parts of other kinds
 * than texts and images, and for tools that a provider runs.
 */
export function messagesOf(prompt: LanguageModelV3Prompt | LanguageModelV4Prompt): ChatMessage[] {
  return prompt.flatMap(templateMessages);
}

function templateMessages(message: Message): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: contentOf(message.content) }];
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

type Output = LanguageModelV3ToolResultOutput | LanguageModelV4ToolResultOutput;
type OutputPart = Extract<Output, { type: 'content' }>['value'][number];

function outputOf(output: Output): ChatMessage['content'] {
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
      return contentOf(output.value.map(partOfOutput));
  }
}

/** Converts a part of a tool's result to the part of a message. Specification V3 has other names for files. */
function partOfOutput(part: OutputPart): Part {
  switch (part.type) {
    case 'text':
    case 'file':
      return part;
    case 'file-data':
    case 'image-data':
      return { type: 'file', data: part.data, mediaType: part.mediaType };
    default:
      throw unsupported(`tool result: ${part.type}`);
  }
}

/** One text, or parts if there are images. */
function contentOf(parts: readonly Part[]): ChatMessage['content'] {
  if (!parts.some(isImage)) return parts.map(textOf).join('');
  return parts.map((part) =>
    isImage(part) ? { type: 'image', image: contentOfFile(part.data) } : { type: 'text', text: textOf(part) },
  );
}

const isImage = (part: Part): part is PartOf<'file'> => part.type === 'file' && /^image(\/|$)/.test(part.mediaType);

function textOf(part: Part): string {
  if (part.type === 'text') return part.text;
  if (part.type !== 'file') throw unsupported(part.type);
  if (!/^text(\/|$)/.test(part.mediaType)) throw unsupported(`file: ${part.mediaType}`);
  const content = contentOfFile(part.data);
  return typeof content === 'string' ? content : new TextDecoder().decode(content);
}

/** The bytes or the text of a file: the object of specification V4, or the bare value of V3. */
function contentOfFile(file: PartOf<'file'>['data']): Uint8Array | string {
  const data = typeof file === 'object' && 'type' in file ? file : ({ type: 'data', data: file } as const);
  if (data.type === 'text') return data.text;
  if (data.type !== 'data' || data.data instanceof URL) throw unsupported('file: a URL or a reference');
  return bytesOf(data.data);
}

function unsupported(part: string): UnsupportedFunctionalityError {
  const message = `simdformer: the prompt has a part '${part}', but this adapter passes only texts and images to models`;
  return new UnsupportedFunctionalityError({ functionality: part, message });
}
