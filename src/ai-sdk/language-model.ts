import {
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4Content,
  type LanguageModelV4GenerateResult,
  type LanguageModelV4StreamPart,
  type LanguageModelV4StreamResult,
  type SharedV4Warning,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import {
  type AnswerEnd,
  type AnswerPiece,
  planAnswer,
  readsImages,
  streamAnswer,
  tokenizerOf,
} from '../frameworks/answer.js';
import { type LocalModels, type ModelId, nameOf } from '../frameworks/local-models.js';
import { streamOf } from '../frameworks/stream-of.js';
import { templateOf } from '../frameworks/template.js';
import type { ChatAnswer } from '../tasks/index.js';
import { PROVIDER, requestOf } from './call-options.js';

type FinishPart = Extract<LanguageModelV4StreamPart, { type: 'finish' }>;

/** A language model on this machine. */
export class SimdformerLanguageModel implements LanguageModelV4 {
  readonly specificationVersion = 'v4';
  readonly provider = PROVIDER;
  readonly modelId: string;
  readonly supportedUrls = {};

  constructor(
    private readonly models: LocalModels,
    private readonly id: ModelId,
  ) {
    this.modelId = nameOf(id);
  }

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const { warnings, parts } = await this.#begin(options);
    const content: LanguageModelV4Content[] = [];
    let finish: FinishPart | undefined;
    for await (const part of parts) {
      if (part.type === 'text-start') content.push({ type: 'text', text: '' });
      else if (part.type === 'reasoning-start') content.push({ type: 'reasoning', text: '' });
      else if (part.type === 'text-delta' || part.type === 'reasoning-delta')
        (content.at(-1) as { text: string }).text += part.delta;
      else if (part.type === 'tool-call') content.push(part);
      else if (part.type === 'finish') finish = part;
    }
    const { finishReason, usage } = finish as FinishPart;
    return { content, finishReason, usage, warnings, response: this.#response() };
  }

  /** Rejects if the request cannot begin. Later errors are parts of the stream. */
  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    const { warnings, parts } = await this.#begin(options);
    const { abortSignal } = options;
    const response = this.#response();
    return {
      stream: streamOf(
        (async function* () {
          yield { type: 'stream-start', warnings };
          yield { type: 'response-metadata', ...response };
          try {
            yield* parts;
          } catch (error) {
            if (abortSignal?.aborted) throw error;
            yield { type: 'error', error };
            yield { type: 'finish', finishReason: { unified: 'error', raw: undefined }, usage: UNKNOWN_USAGE };
          }
        })(),
      ),
    };
  }

  #response() {
    return { id: `simdformer-${crypto.randomUUID()}`, timestamp: new Date(), modelId: this.modelId };
  }

  async #begin(options: LanguageModelV4CallOptions) {
    options.abortSignal?.throwIfAborted();
    const model = await this.models.chat(this.id);
    const { request, warnings } = requestOf(options, templateOf(tokenizerOf(model)));
    if (!readsImages(model) && request.messages.some(({ content }) => Array.isArray(content))) {
      const message = `simdformer: the prompt has an image, but ${this.modelId} reads only text`;
      throw new UnsupportedFunctionalityError({ functionality: 'images', message });
    }
    const plan = await planAnswer(model, request);
    const compatibility = plan.warnings.map((warning): SharedV4Warning => ({ type: 'compatibility', ...warning }));
    return { warnings: [...warnings, ...compatibility], parts: partsOf(streamAnswer(model, plan)) };
  }
}

/** The parts of an answer. Each run of text or reasoning is a block with an id. */
async function* partsOf(
  answer: AsyncGenerator<AnswerPiece, AnswerEnd, void>,
): AsyncGenerator<LanguageModelV4StreamPart, void, void> {
  let open: { readonly type: AnswerPiece['type']; readonly id: string } | null = null;
  let blocks = 0;
  try {
    for (;;) {
      const { value, done } = await answer.next();
      if (open && (done || value.type !== open.type)) {
        yield { type: `${open.type}-end`, id: open.id };
        open = null;
      }
      if (done) {
        for (const call of value.toolCalls) yield* callParts(call);
        yield finishOf(value);
        return;
      }
      if (open === null) {
        open = { type: value.type, id: String(blocks++) };
        yield { type: `${open.type}-start`, id: open.id };
      }
      yield { type: `${open.type}-delta`, id: open.id, delta: value.text };
    }
  } finally {
    await answer.return(undefined as never); // stops the generation if the reader has left
  }
}

function* callParts(call: ChatAnswer['toolCalls'][number]): Generator<LanguageModelV4StreamPart> {
  const { id, name: toolName } = call;
  const input = JSON.stringify(call.arguments);
  yield { type: 'tool-input-start', id, toolName };
  yield { type: 'tool-input-delta', id, delta: input };
  yield { type: 'tool-input-end', id };
  yield { type: 'tool-call', toolCallId: id, toolName, input };
}

const UNKNOWN_USAGE = {
  inputTokens: { total: undefined, noCache: undefined, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: undefined, text: undefined, reasoning: undefined },
};

function finishOf({ finishReason, promptTokens, cachedTokens, newTokens, reasoningTokens }: AnswerEnd): FinishPart {
  return {
    type: 'finish',
    finishReason: { unified: finishReason, raw: finishReason },
    usage: {
      inputTokens: {
        total: promptTokens,
        noCache: promptTokens - cachedTokens,
        cacheRead: cachedTokens,
        cacheWrite: undefined,
      },
      outputTokens: { total: newTokens, text: newTokens - reasoningTokens, reasoning: reasoningTokens },
    },
  };
}
