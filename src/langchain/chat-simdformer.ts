import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import type { BaseLanguageModelInput, StructuredOutputMethodOptions } from '@langchain/core/language_models/base';
import {
  BaseChatModel,
  type BaseChatModelCallOptions,
  type BaseChatModelParams,
  type BindToolsInput,
} from '@langchain/core/language_models/chat_models';
import {
  assembleStructuredOutputPipeline,
  createContentParser,
  createFunctionCallingParser,
} from '@langchain/core/language_models/structured_output';
import {
  AIMessage,
  AIMessageChunk,
  type BaseMessage,
  type MessageContent,
  type UsageMetadata,
} from '@langchain/core/messages';
import { ChatGenerationChunk, type ChatResult } from '@langchain/core/outputs';
import type { Runnable } from '@langchain/core/runnables';
import { convertToOpenAITool } from '@langchain/core/utils/function_calling';
import { toJsonSchema } from '@langchain/core/utils/json_schema';
import type { ResponseFormat } from '../constrain/index.js';
import { checkKnown, checkOptions, checkStyle } from '../core/check.js';
import { type AnswerEnd, planAnswer, streamAnswer, tokenizerOf } from '../frameworks/answer.js';
import { checkModel, LocalModels, type LocalModelsOptions, type ModelId, nameOf } from '../frameworks/local-models.js';
import { type SamplingSettings, samplingKinds, samplingOf } from '../frameworks/sampling.js';
import type { Tool, ToolChoice } from '../frameworks/tool-formats.js';
import type { ChatGenerateOptions } from '../tasks/index.js';
import { templateMessages } from './messages.js';

/** Settings of answers. Those of a call take precedence over those of the model. */
export interface ChatSimdformerSettings extends SamplingSettings {
  /** Maximum number of tokens of an answer. Default: the model's own setting, or as many as fit. */
  maxTokens?: number | undefined;
  /** Default: the model's own setting. 0 chooses the most probable token. */
  temperature?: number | undefined;
  topP?: number | undefined;
  topK?: number | undefined;
  presencePenalty?: number | undefined;
  frequencyPenalty?: number | undefined;
  /** Equal seeds give equal answers. Default: a random one for each call. */
  seed?: number | undefined;
  /** Variables of the chat template, such as `{ enable_thinking: false }`. Default: none. */
  variables?: Readonly<Record<string, unknown>> | undefined;
  /** Other options of `generate`, such as `{ minP: 0.05, draft: 'prompt' }`. Default: none. */
  generation?: ChatGenerateOptions | undefined;
}

export interface ChatSimdformerFields extends BaseChatModelParams, ChatSimdformerSettings {
  /** The model: a folder, a hub id, a GGUF file, or a loaded model. */
  model: ModelId;
  /** Options for loading the model. Default: none. */
  loadOptions?: LocalModelsOptions | undefined;
}

export interface ChatSimdformerCallOptions extends BaseChatModelCallOptions, ChatSimdformerSettings {
  tools?: BindToolsInput[] | undefined;
  /** True if several tools may be called at once. Default: true. */
  parallelToolCalls?: boolean | undefined;
  /** The format of the answer. Default: any text. */
  responseFormat?: ResponseFormat | undefined;
  /** Format in OpenAI's form, which `providerStrategy` of LangChain's agents gives. */
  response_format?:
    | { readonly type: 'text' | 'json_object' }
    | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: Readonly<Record<string, unknown>> } }
    | undefined;
  /** True refuses schemas of tools that cannot be enforced. False lets the model write any arguments. */
  strict?: boolean | undefined;
}

/**
 * A chat model on this machine.
 *
 * ```ts
 * const model = new ChatSimdformer({ model: 'Qwen/Qwen3-0.6B', temperature: 0.7 });
 * const { text } = await model.invoke('Name three cats.');
 * ```
 *
 * The model is loaded by the first call. Reasoning is `additional_kwargs.reasoning_content` of the message. Calls that
 * overlap in time are computed as one batch.
 */
export class ChatSimdformer extends BaseChatModel<ChatSimdformerCallOptions> {
  readonly #models: LocalModels;
  readonly #id: ModelId;
  readonly #settings: ChatSimdformerSettings;
  /** The model in keys of LangChain's cache. A loaded model has no lasting name. */
  readonly #cacheName: string;

  static override lc_name(): string {
    return 'ChatSimdformer';
  }

  /** Throws ArgumentError for unknown fields and for fields of other kinds. */
  constructor(fields: ChatSimdformerFields) {
    super(fields);
    const { model, loadOptions, ...settings } = fields;
    checkModel('ChatSimdformer', model, loadOptions);
    checkKnown('ChatSimdformer', settings, [...SETTINGS, ...FIELDS]);
    this.#models = new LocalModels(loadOptions);
    this.#id = model;
    this.#settings = pickSettings(settings);
    const isNamed = typeof model === 'string' || model instanceof URL;
    this.#cacheName = isNamed ? `${nameOf(model)} ${plainOptions(loadOptions)}` : crypto.randomUUID();
  }

  override _llmType(): string {
    return 'simdformer';
  }

  override invocationParams(options?: this['ParsedCallOptions']): Record<string, unknown> {
    return { model: nameOf(this.#id), ...this.#settings, ...(options && pickSettings(options)) };
  }

  /** LangChain's cache keeps an answer by these. */
  override _identifyingParams(): Record<string, unknown> {
    return { model: this.#cacheName, ...this.#settings };
  }

  /** Counts the tokens of text, for `trimMessages` and others. Content that is not text counts as none. */
  override async getNumTokens(content: MessageContent): Promise<number> {
    const text =
      typeof content === 'string' ? content : content.map((part) => ('text' in part ? part.text : '')).join('');
    const { tokenizer } = await this.#models.chat(this.#id);
    return (await tokenizerOf({ tokenizer }).encodeAsync(text, { addSpecial: false })).length;
  }

  override bindTools(
    tools: BindToolsInput[],
    options: Partial<ChatSimdformerCallOptions> = {},
  ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatSimdformerCallOptions> {
    return this.withConfig({ ...options, tools }) as Runnable<
      BaseLanguageModelInput,
      AIMessageChunk,
      ChatSimdformerCallOptions
    >;
  }

  /**
   * Makes a model whose answers are JSON that satisfies the schema. `method: 'functionCalling'` requests a call of a
   * tool instead.
   */
  override withStructuredOutput<Output extends Record<string, unknown>>(
    schema: Parameters<typeof createContentParser>[0],
    config: StructuredOutputMethodOptions<boolean> = {},
  ): Runnable<BaseLanguageModelInput, never> {
    const json = toJsonSchema(schema as Parameters<typeof toJsonSchema>[0]) as Record<string, unknown>;
    if (config.method === 'functionCalling') return this.#structuredCall(schema, json, config) as never;
    const responseFormat: ResponseFormat =
      config.method === 'jsonMode' ? { type: 'json_object' } : { type: 'json_schema', schema: json };
    const parser = createContentParser<Output>(schema as never);
    const llm = this.withConfig({ responseFormat } as Partial<ChatSimdformerCallOptions>);
    return assembleStructuredOutputPipeline(llm as never, parser, config.includeRaw) as never;
  }

  #structuredCall(
    schema: unknown,
    parameters: Record<string, unknown>,
    { name = 'extract', includeRaw }: StructuredOutputMethodOptions<boolean>,
  ) {
    const tool = { type: 'function', function: { name, description: 'Gives the answer.', parameters } };
    const llm = this.bindTools([tool], { tool_choice: name });
    return assembleStructuredOutputPipeline(llm, createFunctionCallingParser(schema as never, name), includeRaw);
  }

  override async _generate(messages: BaseMessage[], options: this['ParsedCallOptions']): Promise<ChatResult> {
    let all: AIMessageChunk | undefined;
    for await (const chunk of this.#chunks(messages, options)) all = all === undefined ? chunk : all.concat(chunk);
    const { content, tool_calls, usage_metadata, response_metadata, additional_kwargs } = all as AIMessageChunk;
    const message = new AIMessage({
      content,
      response_metadata,
      additional_kwargs,
      ...(tool_calls && { tool_calls }),
      ...withUsage(usage_metadata as UsageMetadata | undefined),
    });
    return { generations: [{ text: message.text, message, generationInfo: response_metadata }] };
  }

  override async *_streamResponseChunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
    runManager?: CallbackManagerForLLMRun,
  ): AsyncGenerator<ChatGenerationChunk> {
    for await (const message of this.#chunks(messages, options)) {
      const chunk = new ChatGenerationChunk({ message, text: message.text, generationInfo: message.response_metadata });
      yield chunk;
      await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, { chunk });
    }
  }

  async *#chunks(
    messages: BaseMessage[],
    options: this['ParsedCallOptions'],
  ): AsyncGenerator<AIMessageChunk, void, void> {
    options.signal?.throwIfAborted();
    checkCall(options);
    const settings = { ...this.#settings, ...pickSettings(options) };
    const model = await this.#models.chat(this.#id);
    const plan = await planAnswer(model, {
      messages: templateMessages(messages),
      tools: options.tools?.map((tool) => {
        const { strict } = options;
        const converted = convertToOpenAITool(tool as Parameters<typeof convertToOpenAITool>[0]) as unknown as Tool;
        return strict === undefined ? converted : { ...converted, strict };
      }),
      toolChoice: choiceOf(options.tool_choice),
      parallel: options.parallelToolCalls,
      format: options.responseFormat ?? formatOf(options.response_format),
      stop: options.stop,
      variables: settings.variables,
      generation: { ...samplingOf(settings), ...settings.generation, signal: options.signal },
    });
    const answer = streamAnswer(model, plan);
    try {
      for (;;) {
        const { value, done } = await answer.next();
        if (done) return yield this.#last(value);
        const { type, text } = value;
        yield type === 'text'
          ? new AIMessageChunk({ content: text })
          : new AIMessageChunk({ content: '', additional_kwargs: { reasoning_content: text } });
      }
    } finally {
      await answer.return(undefined as never); // stops the generation if the reader has left
    }
  }

  /** Makes the last chunk, with the tool calls, the usage and the finish reason. */
  #last(end: AnswerEnd): AIMessageChunk {
    const { toolCalls, finishReason, promptTokens, newTokens, cachedTokens, reasoningTokens } = end;
    return new AIMessageChunk({
      content: '',
      tool_call_chunks: toolCalls.map(({ id, name, arguments: args }, index) => {
        return { type: 'tool_call_chunk', id, name, index, args: JSON.stringify(args) };
      }),
      ...withUsage({
        input_tokens: promptTokens,
        output_tokens: newTokens,
        total_tokens: promptTokens + newTokens,
        input_token_details: { cache_read: cachedTokens },
        output_token_details: { reasoning: reasoningTokens },
      }),
      response_metadata: {
        model_provider: 'simdformer',
        model_name: nameOf(this.#id),
        finish_reason: finishReason === 'tool-calls' ? 'tool_calls' : finishReason,
      },
    });
  }

  /** Frees the model if it was loaded here, and the device that was opened for it. */
  dispose(): Promise<void> {
    return this.#models.dispose();
  }
}

/** Writes the options that are plain values. */
function plainOptions(options: LocalModelsOptions = {}): string {
  return JSON.stringify(Object.entries(options).filter(([, value]) => typeof value !== 'object'));
}

/** The field of messages. Its type is `never` in LangChain if a program has `exactOptionalPropertyTypes`. */
const withUsage = (usage: UsageMetadata | undefined) =>
  (usage === undefined ? {} : { usage_metadata: usage }) as Record<never, never>;

const SETTINGS = [
  'maxTokens',
  'temperature',
  'topP',
  'topK',
  'presencePenalty',
  'frequencyPenalty',
  'seed',
  'variables',
  'generation',
] as const satisfies readonly (keyof ChatSimdformerSettings)[];

/** The fields of LangChain's chat models. */
const FIELDS = [
  'verbose',
  'callbacks',
  'callbackManager',
  'tags',
  'metadata',
  'cache',
  'onFailedAttempt',
  'maxConcurrency',
  'maxRetries',
  'disableStreaming',
  'outputVersion',
] as const;

/** Options of a call besides settings. */
const CALL_OPTIONS: readonly string[] = [
  'tools',
  'tool_choice',
  'parallelToolCalls',
  'responseFormat',
  'response_format',
  'strict',
  'stop',
  'signal',
] satisfies (keyof ChatSimdformerCallOptions)[];

/** Options that LangChain and LangGraph pass to every model, and that are not for models or for those of one provider. */
const PASSED_BY = [
  'outputVersion',
  'promptIndex',
  'version',
  'encoding',
  'ls_structured_output_format',
  'outputConfig',
  'responseSchema',
  'outputKeys',
  'streamMode',
  'store',
  'writer',
  'interrupt',
  'context',
  'interruptBefore',
  'interruptAfter',
  'checkpointDuring',
  'durability',
  'heartbeat',
  'executionInfo',
  'serverInfo',
  'control',
];

const warned = new Set<string>();

/**
 * Throws ArgumentError for an option of a call that is one of ours in another style, such as `max_tokens`. Warns once
 * of other unknown options: frameworks pass their own to every model.
 */
function checkCall(options: object): void {
  const known = [...SETTINGS, ...CALL_OPTIONS];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || known.includes(name) || PASSED_BY.includes(name) || warned.has(name)) continue;
    checkStyle('ChatSimdformer', name, known);
    warned.add(name);
    console.warn(
      `ChatSimdformer: there is no option ${name}, so it has no effect. Options of calls are ${known.join(', ')}`,
    );
  }
}

/** Returns the settings among options. Throws ArgumentError for settings of other kinds. */
function pickSettings(options: ChatSimdformerSettings): ChatSimdformerSettings {
  const settings = Object.fromEntries(
    SETTINGS.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]] as const])),
  );
  return checkOptions<ChatSimdformerSettings>('ChatSimdformer', settings, settingKinds);
}

const settingKinds = { ...samplingKinds, variables: 'object', generation: 'object' } as const;

/** Returns the format of an answer, which is given in OpenAI's form. */
function formatOf(wanted: ChatSimdformerCallOptions['response_format']): ResponseFormat | undefined {
  if (wanted === undefined || wanted.type === 'text') return undefined;
  const schema = wanted.type === 'json_schema' ? wanted.json_schema.schema : undefined;
  return schema === undefined ? { type: 'json_object' } : { type: 'json_schema', schema };
}

/** `tool_choice` of LangChain, or of OpenAI. */
function choiceOf(choice: ChatSimdformerCallOptions['tool_choice']): ToolChoice | undefined {
  if (choice === undefined || choice === 'auto' || choice === 'none') return choice as ToolChoice | undefined;
  if (choice === 'any' || choice === 'required') return 'required';
  return { name: typeof choice === 'string' ? choice : String(choice.function?.name ?? choice.name) };
}
