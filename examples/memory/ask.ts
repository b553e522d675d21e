// Answers a question from the passages of a store: vectors find some, a reranker orders them, a chat model reads the best.
import type { TextModel } from 'simdformer/pretrained';
import { Chat, ContextFullError } from 'simdformer/tasks';
import type { FilePassage, Found, VectorStore } from './store.js';

/** Passages that an answer is made of, and those that the reranker reads for each of them. */
const SOURCES = 4;
const CANDIDATES = 5;
/** Tokens of an answer at most. Models with a short context keep three quarters of it for passages. */
const MAX_ANSWER_TOKENS = 200;
const SYSTEM = 'Answer the question from the passages, in one or two sentences. Name the passage that you used.';

export interface MemoryModels {
  readonly embedder: TextModel;
  readonly reranker: TextModel;
  readonly chat: TextModel;
}

export interface MemoryAnswer {
  readonly answer: string;
  /** The passage that the chat model names as its source. */
  readonly source: Found;
  /** All passages that the chat model has read. */
  readonly passages: readonly Found[];
}

/** The passages that fit a question best, with the reranker's scores. */
export async function search(
  question: string,
  { embedder, reranker }: Pick<MemoryModels, 'embedder' | 'reranker'>,
  store: VectorStore,
  count = SOURCES,
): Promise<Found[]> {
  const vector = await embedder.encodeQuery(question, { normalize: true });
  const found = await store.search(vector, CANDIDATES * count);
  const texts = found.map(({ text }) => text);
  const ranked = await reranker.rank(question, texts, { topK: count });
  return ranked.map(({ corpus_id: i, score }) => ({ ...(found[i] as Found), score }));
}

/** Answers from the passages that are found. Null if the store is empty. */
export async function ask(question: string, models: MemoryModels, store: VectorStore): Promise<MemoryAnswer | null> {
  const passages = await search(question, models, store);
  // If the chat model's context has no room for all passages, the last ones are left out.
  for (let count = passages.length; count > 0; count--) {
    try {
      return await answerFrom(passages.slice(0, count), question, models.chat);
    } catch (error) {
      if (!(error instanceof ContextFullError) || count === 1) throw error;
    }
  }
  return null;
}

async function answerFrom(passages: readonly Found[], question: string, model: TextModel): Promise<MemoryAnswer> {
  const places = passages.map(placeOf);
  // The source is one of these places: the answer cannot name anything else.
  const schema = {
    type: 'object',
    properties: { answer: { type: 'string', minLength: 1, maxLength: 400 }, source: { enum: places } },
    required: ['answer', 'source'],
  };
  const shown = passages.map(({ text }, i) => `[${places[i]}]\n${text}`).join('\n\n');
  const chat = new Chat(model, { system: SYSTEM, variables: { enable_thinking: false } });
  try {
    const answer = chat.send(`${shown}\n\nQuestion: ${question}`, {
      responseFormat: { type: 'json_schema', schema },
      maxNewTokens: Math.min(MAX_ANSWER_TOKENS, Math.floor(model.maxLength / 4)),
      doSample: false,
    });
    let text = '';
    for await (const piece of answer) text += piece;
    const parsed = JSON.parse(text) as { answer: string; source: string };
    return { answer: parsed.answer, source: passages[places.indexOf(parsed.source)] as Found, passages };
  } finally {
    chat.dispose();
  }
}

export const placeOf = ({ path, firstLine, lastLine }: FilePassage) => `${path}:${firstLine}-${lastLine}`;
