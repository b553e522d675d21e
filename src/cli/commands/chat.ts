import { Command, Option } from 'commander';
import type { CacheType } from '../../ops/kv-cache.js';
import { type LoadedModel, loadModel, loadPredictor } from '../../pretrained/index.js';
import { WHEN_FULL, type WhenFull } from '../../tasks/chat/chat-options.js';
import { Chat, type ChatGenerateOptions, type ChatOptions } from '../../tasks/chat/index.js';
import { openDevice } from '../common.js';
import { converse } from '../conversation.js';
import { readJson } from '../data.js';
import { addGenerationFlags, generationFlags } from '../generation-flags.js';
import { integer } from '../parsers.js';
import { cacheOption } from '../weights-option.js';

interface Options {
  system?: string;
  tools?: string;
  context?: number;
  cache?: CacheType;
  whenFull: WhenFull;
  restore?: string;
  image?: string[];
  draft?: string;
  maxTokens?: number;
  sample?: boolean;
  seed?: number;
}

type Draft = NonNullable<ChatGenerateOptions['draft']>;

export function chatCommand(): Command {
  const command = new Command('chat')
    .description('chat with a model; /help lists the commands of a chat')
    .argument('<model>', 'folder, GGUF file or hub id of a chat model')
    .option('--system <text>', 'system message')
    .option('--tools <file>', "JSON file with a list of tools that the model may call, in OpenAI's format")
    .option('--context <n>', "tokens of the conversation at most (default: the model's limit)", integer(2))
    .addOption(cacheOption())
    .addOption(
      new Option('--when-full <action>', 'if a message does not fit: refuse it, or shift (hide the oldest turns)')
        .choices(WHEN_FULL)
        .default(WHEN_FULL[0]),
    )
    .option('--image <file...>', 'images of the first message, for a model that reads images')
    .option('--restore <file>', 'continue a conversation that /save has written')
    .option(
      '--draft <model>',
      "speculative decoding by a smaller model with the same vocabulary, by the text so far: 'prompt', or by the model's own layer for it: 'mtp'",
    )
    .option('--max-tokens <n>', 'tokens of an answer at most', integer(1))
    .option('--sample', "draw tokens by their probabilities (default: the model's own setting)")
    .option('--seed <n>', 'the same seed gives the same answers', integer(0))
    .action(async (name: string, options: Options, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name, { cache: options.cache });
      const { draft = null } = options;
      const guesses = draft === null ? null : await draftOf(model, name, draft);
      const chat = await start(model, options);
      try {
        await converse(chat, generationOf(options, guesses), process.stdin, process.stdout, options.image);
      } finally {
        model.dispose();
      }
    });
  return addGenerationFlags(command);
}

/** The value of `--draft` as an option of `generate`. `name`: the model's. */
async function draftOf(model: LoadedModel, name: string, draft: string): Promise<Draft> {
  if (draft === 'prompt') return draft;
  return draft === 'mtp' ? loadPredictor(model, name) : loadModel(model.device, draft);
}

async function start(model: LoadedModel, options: Options): Promise<Chat> {
  const { system, context: maxLength, whenFull, restore } = options;
  if (restore !== undefined) return Chat.restore(model, restore);
  const tools = options.tools && ((await readJson(options.tools)) as ChatOptions['tools']);
  return new Chat(model, { system, maxLength, whenFull, ...(tools ? { tools } : {}) });
}

function generationOf(options: Options, draft: Draft | null): ChatGenerateOptions {
  const { maxTokens: maxNewTokens, sample: doSample, seed } = options;
  const given = { maxNewTokens, doSample, seed, draft: draft ?? undefined, ...generationFlags(options) };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
