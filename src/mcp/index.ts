// Search over the files of a folder for clients of the Model Context Protocol.

import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema, type CallToolResult, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { planAnswer, streamAnswer } from '../frameworks/answer.js';
import { ArgumentError } from '../index.js';
import { type ChatModel, ContextFullError, type Pipeline } from '../tasks/index.js';
import { FolderIndex, type Found } from './folder-index.js';

/** Models may load while the server already runs. A call of a tool waits for them. */
export interface FolderServerOptions {
  readonly folder: string;
  readonly version: string;
  readonly embedder: Promise<Pipeline<'feature-extraction'>>;
  /** Ranks the passages that the embedder finds. Default: none. */
  readonly ranker?: Promise<Pipeline<'text-ranking'>> | undefined;
  /** Answers questions from the passages found. Default: none, and the server has no such tool. */
  readonly chat?: Promise<ChatModel> | undefined;
}

/** Number of passages that the ranker reads for each requested passage, and their maximum total. */
const CANDIDATES = 4;
const MAX_CANDIDATES = 50;
const MAX_LIMIT = 50;
/** Number of passages for an answer, and maximum number of tokens of the answer. */
const SOURCES = 5;
const MAX_ANSWER_TOKENS = 512;

const searchTool = {
  name: 'search',
  description: "Finds passages in the user's files by meaning. Returns paths, lines and texts, the best passage first.",
  inputSchema: {
    type: 'object' as const,
    properties: {
      query: { type: 'string', description: 'A question or a description of the passage.' },
      limit: { type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 8 },
    },
    required: ['query'],
    additionalProperties: false,
  },
  annotations: { readOnlyHint: true, openWorldHint: false },
};

const answerTool = {
  name: 'answer',
  description: "Answers a question from the user's files by a model on this machine. Names the files.",
  inputSchema: {
    type: 'object' as const,
    properties: { question: { type: 'string' } },
    required: ['question'],
    additionalProperties: false,
  },
  annotations: { readOnlyHint: true, openWorldHint: false },
};

/** Makes a server of the Model Context Protocol, which the caller connects to a transport. */
export function folderServer({ folder, version, embedder, ranker, chat }: FolderServerOptions) {
  const index = new FolderIndex(folder, embedder);
  const search = async (query: string, limit: number): Promise<Found[]> => {
    if (!ranker) return index.search(query, limit);
    const candidates = await index.search(query, Math.min(MAX_CANDIDATES, CANDIDATES * limit));
    const rank = await ranker;
    const ranked = await rank(
      query,
      candidates.map(({ text }) => text),
      { top_k: limit },
    );
    return ranked.map(({ corpus_id: i, score }) => ({ ...(candidates[i] as Found), score }));
  };
  const server = new Server({ name: 'simdformer', version }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: chat ? [searchTool, answerTool] : [searchTool] }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, { signal }): Promise<CallToolResult> => {
    const { name, arguments: args = {} } = params;
    try {
      if (name === searchTool.name) {
        checkNames(searchTool, args);
        const results = await search(textOf(args, 'query'), limitOf(args));
        const { skipped } = index;
        const texts = [shown(results), ...leftOut(skipped)];
        return { content: texts.map((text) => ({ type: 'text', text })), structuredContent: { results, skipped } };
      }
      if (chat && name === answerTool.name) {
        checkNames(answerTool, args);
        const question = textOf(args, 'question');
        const sources = await search(question, SOURCES);
        return { content: [{ type: 'text', text: await answerThatFits(await chat, question, sources, signal) }] };
      }
      throw new ArgumentError(`there is no tool '${name}'`);
    } catch (error) {
      // The client's model reads this, and can call again.
      return { isError: true, content: [{ type: 'text', text: (error as Error).message }] };
    }
  });
  return { server, index };
}

/** Throws ArgumentError for an argument that the tool does not have: a misspelt one must not count as left out. */
function checkNames({ inputSchema: { properties } }: typeof searchTool | typeof answerTool, args: object): void {
  const unknown = Object.keys(args).find((name) => !Object.hasOwn(properties, name));
  if (unknown === undefined) return;
  throw new ArgumentError(`there is no argument '${unknown}', expected ${Object.keys(properties).join(', ')}`);
}

function textOf(args: Readonly<Record<string, unknown>>, name: string): string {
  const value = args[name];
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new ArgumentError(`'${name}' is ${JSON.stringify(value)}, expected text`);
}

function limitOf({ limit = searchTool.inputSchema.properties.limit.default }: { limit?: unknown }): number {
  if (Number.isInteger(limit) && (limit as number) >= 1 && (limit as number) <= MAX_LIMIT) return limit as number;
  throw new ArgumentError(`'limit' is ${JSON.stringify(limit)}, expected an integer from 1 to ${MAX_LIMIT}`);
}

const locationOf = ({ path, firstLine, lastLine }: Found) => `${path}:${firstLine}-${lastLine}`;

function shown(found: readonly Found[]): string {
  if (found.length === 0) return 'Nothing was found: the folder has no text files.';
  return found.map((passage) => `${locationOf(passage)} (${passage.score.toFixed(3)})\n${passage.text}`).join('\n\n');
}

/** Number of files that are named if they cannot be searched. */
const MAX_NAMED = 5;

/** Returns a text that names the files that cannot be searched. There is none if all can. */
export function leftOut(skipped: FolderIndex['skipped']): string[] {
  if (skipped.length === 0) return [];
  const named = skipped.slice(0, MAX_NAMED).map(({ path, why }) => `${path} (${why})`);
  const more = skipped.length > MAX_NAMED ? ` and ${skipped.length - MAX_NAMED} more` : '';
  return [`Left out: ${named.join(', ')}${more}`];
}

/** Answers a question. Omits the last passages if they do not fit into the model's context. */
async function answerThatFits(
  chat: ChatModel,
  question: string,
  sources: readonly Found[],
  signal: AbortSignal,
): Promise<string> {
  for (let count = sources.length; ; count--) {
    try {
      return await answerFrom(chat, question, sources.slice(0, count), signal);
    } catch (error) {
      if (!(error instanceof ContextFullError) || count === 0) throw error;
    }
  }
}

async function answerFrom(chat: ChatModel, question: string, sources: readonly Found[], signal: AbortSignal) {
  const passages = sources.map((passage) => `[${locationOf(passage)}]\n${passage.text}`).join('\n\n');
  const plan = await planAnswer(chat, {
    messages: [
      {
        role: 'system',
        content: 'Answer from the passages only. Name the files that you used. Say if they have no answer.',
      },
      { role: 'user', content: `${passages}\n\nQuestion: ${question}` },
    ],
    generation: { maxNewTokens: MAX_ANSWER_TOKENS, signal },
  });
  let text = '';
  for await (const piece of streamAnswer(chat, plan)) if (piece.type === 'text') text += piece.text;
  return text;
}
