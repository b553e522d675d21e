// LlamaIndex.TS's classes for models that run in the program itself.
import { BaseEmbedding } from '@llamaindex/core/embeddings';
import {
  BaseLLM,
  type ChatResponse,
  type ChatResponseChunk,
  type LLMChatParamsNonStreaming,
  type LLMChatParamsStreaming,
  type LLMMetadata,
  type MessageContent,
} from '@llamaindex/core/llms';
import type { TextModel } from 'simdformer/pretrained';
import { Chat } from 'simdformer/tasks';

/** Embeddings of texts. Queries and documents have the model's own prompts. */
export class SimdformerEmbedding extends BaseEmbedding {
  constructor(private readonly model: TextModel) {
    super();
  }

  override async getTextEmbedding(text: string): Promise<number[]> {
    return (await this.getTextEmbeddings([text]))[0] as number[];
  }

  override getTextEmbeddings = async (texts: string[]): Promise<number[][]> => {
    return (await this.model.encodeDocument(texts)).map((vector) => [...vector]);
  };

  override async getQueryEmbedding(query: { type: string; text?: string }): Promise<number[] | null> {
    if (query.text === undefined) return null;
    return [...((await this.model.encodeQuery([query.text]))[0] as Float32Array)];
  }
}

/** A chat model. Messages have only text. */
export class SimdformerLLM extends BaseLLM {
  constructor(
    private readonly model: TextModel,
    private readonly options: { readonly maxTokens?: number; readonly temperature?: number } = {},
  ) {
    super();
  }

  get metadata(): LLMMetadata {
    const { temperature = 1, maxTokens } = this.options;
    return {
      model: String(this.model.config.model_type),
      temperature,
      topP: 1,
      maxTokens,
      contextWindow: this.model.maxLength,
      tokenizer: undefined,
      structuredOutput: false,
    };
  }

  override chat(params: LLMChatParamsStreaming): Promise<AsyncIterable<ChatResponseChunk>>;
  override chat(params: LLMChatParamsNonStreaming): Promise<ChatResponse>;
  override async chat({ messages, stream }: LLMChatParamsStreaming | LLMChatParamsNonStreaming) {
    const all = messages.map(({ role, content }) => ({ role: String(role), content: textOf(content) }));
    if (stream) return this.#pieces(all);
    let content = '';
    for await (const { delta } of this.#pieces(all)) content += delta;
    return { message: { role: 'assistant' as const, content }, raw: null };
  }

  async *#pieces(messages: { role: string; content: string }[]): AsyncGenerator<ChatResponseChunk> {
    const { maxTokens, temperature } = this.options;
    const chat = new Chat(this.model, { messages: messages.slice(0, -1) });
    const sampling = temperature === 0 ? { doSample: false } : { temperature };
    try {
      for await (const delta of chat.send(messages.slice(-1), { maxNewTokens: maxTokens, ...sampling }))
        yield { delta, raw: null };
    } finally {
      chat.dispose();
    }
  }
}

function textOf(content: MessageContent): string {
  if (typeof content === 'string') return content;
  return content.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
