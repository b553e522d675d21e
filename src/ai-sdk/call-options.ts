// Converts the AI SDK's options of a call to a request for an answer.

import type { LanguageModelV4CallOptions, SharedV4Warning } from '@ai-sdk/provider';
import type { AnswerRequest } from '../frameworks/answer.js';
import { samplingOf } from '../frameworks/sampling.js';
import type { Tool } from '../frameworks/tool-formats.js';
import type { ChatGenerateOptions } from '../tasks/index.js';
import { messagesOf } from './prompt.js';

/** The name of this provider in `providerOptions`. */
export const PROVIDER = 'simdformer';

/**
 * `providerOptions.simdformer` of language models: options of `generate` that the AI SDK does not have, such as `minP`
 * or `draft: 'prompt'`, and variables of the chat template.
 */
export interface SimdformerLanguageOptions
  extends Pick<
    ChatGenerateOptions,
    'draft' | 'minNewTokens' | 'minP' | 'noRepeatNgramSize' | 'repetitionPenalty' | 'typicalP'
  > {
  /** Variables of the chat template, such as `{ enable_thinking: false }`. Default: none. */
  variables?: Readonly<Record<string, unknown>> | undefined;
}

interface Request {
  readonly request: AnswerRequest;
  readonly warnings: readonly SharedV4Warning[];
}

/** Makes the request for a model with the chat template `template`. Throws UnsupportedFunctionalityError. */
export function requestOf(options: LanguageModelV4CallOptions, template: string): Request {
  const { prompt, toolChoice = { type: 'auto' }, responseFormat, stopSequences, maxOutputTokens } = options;
  const { variables, ...providerSettings } = (options.providerOptions?.[PROVIDER] ?? {}) as SimdformerLanguageOptions;
  const warnings: SharedV4Warning[] = [];
  return {
    request: {
      messages: messagesOf(prompt),
      tools: toolsOf(options.tools, warnings),
      toolChoice: toolChoice.type === 'tool' ? { name: toolChoice.toolName } : toolChoice.type,
      format: responseFormat?.type === 'json' ? jsonFormat(responseFormat.schema) : undefined,
      stop: stopSequences,
      variables: { ...reasoningVariables(options.reasoning, template, warnings), ...variables },
      generation: {
        ...samplingOf({ ...options, maxTokens: maxOutputTokens }),
        ...providerSettings,
        signal: options.abortSignal,
      },
    },
    warnings,
  };
}

const jsonFormat = (schema: unknown) =>
  schema === undefined ? ({ type: 'json_object' } as const) : ({ type: 'json_schema', schema } as const);

function toolsOf(tools: LanguageModelV4CallOptions['tools'] = [], warnings: SharedV4Warning[]): Tool[] {
  return tools.flatMap((tool): Tool[] => {
    if (tool.type !== 'function') {
      const details = 'The model runs on this machine, where no provider executes tools.';
      warnings.push({ type: 'unsupported', feature: `provider tool ${tool.id}`, details });
      return [];
    }
    const { name, description, inputSchema, strict } = tool;
    const parameters = inputSchema as Record<string, unknown>;
    return [{ type: 'function', function: { name, description, parameters }, strict }];
  });
}

/** The AI SDK's reasoning efforts, mapped to the names that chat templates know. */
const EFFORTS = { minimal: 'low', low: 'low', medium: 'medium', high: 'high', xhigh: 'high', max: 'high' } as const;

/** Returns the template variables for the requested reasoning effort. */
function reasoningVariables(
  effort: LanguageModelV4CallOptions['reasoning'] = 'provider-default',
  template: string,
  warnings: SharedV4Warning[],
): Readonly<Record<string, unknown>> {
  if (effort === 'provider-default') return {};
  const isKnown = template.includes('enable_thinking') || template.includes('reasoning_effort');
  if (!isKnown && effort !== 'none') {
    const details = "The model's chat template has no switch for reasoning.";
    warnings.push({ type: 'unsupported', feature: 'reasoning', details });
  }
  if (!isKnown) return {};
  return effort === 'none' ? { enable_thinking: false } : { enable_thinking: true, reasoning_effort: EFFORTS[effort] };
}
