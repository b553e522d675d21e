import { Command, Option } from 'commander';
import { tokenizerOf } from '../../frameworks/answer.js';
import { OPTION_TABLE } from '../../generate/option-table.js';
import type { CacheType } from '../../ops/kv-cache.js';
import { type LoadedModel, type LoadModelOptions, loadModel, loadPredictor } from '../../pretrained/index.js';
import { WHEN_FULL, type WhenFull } from '../../tasks/chat/chat-options.js';
import { Chat, type ChatGenerateOptions, type ChatOptions } from '../../tasks/chat/index.js';
import { openDevice } from '../common.js';
import { converse } from '../conversation.js';
import { readJson } from '../data.js';
import { addGenerationFlags, generationFlags } from '../generation-flags.js';
import { example } from '../help.js';
import { integer } from '../parsers.js';
import { cacheOption, weightsOption } from '../weights-option.js';

interface Options {
  system?: string;
  tools?: string;
  context?: number;
  weights?: LoadModelOptions['weights'];
  cacheType?: CacheType;
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
    .description('chat with a model; in the chat, /help lists its commands')
    .argument('<model>', 'folder, GGUF file or hub id of a chat model')
    .option('--system <text>', 'system message (default: none)')
    .option(
      '--tools <file>',
      "JSON file with a list of tools that the model may call, in OpenAI's format (default: none)",
    )
    .option('--context <n>', "maximum number of tokens of the conversation (default: the model's limit)", integer(2))
    .addOption(weightsOption())
    .addOption(cacheOption())
    .addOption(
      new Option(
        '--when-full <action>',
        'action if a message does not fit: refuse it, or shift, which hides the oldest turns from the model',
      )
        .choices(WHEN_FULL)
        .default(WHEN_FULL[0]),
    )
    .option('--image <file...>', 'images of the first message, for a model that reads images (default: none)')
    .addOption(
      new Option(
        '--restore <file>',
        'file of a conversation to continue, written by /save, with its settings (default: a new conversation)',
      ).conflicts(['system', 'tools', 'context', 'whenFull']),
    )
    .option(
      '--draft <model>',
      "speculative decoding by a smaller model with the same vocabulary; 'prompt' guesses from the text so far, 'mtp' by the model's own layer (default: automatic, from the text so far)",
    )
    .option(
      '--max-tokens <n>',
      `maximum number of tokens of an answer (default: the model's setting, otherwise as many as fit)`,
      integer(1),
    )
    .option('--sample', "draw tokens by their probabilities (default: the model's setting)")
    .option(
      '--seed <n>',
      `seed of sampling: the same seed gives the same answers (default: ${OPTION_TABLE.seed.default})`,
      integer(0),
    )
    .addHelpText('after', example('chat HuggingFaceTB/SmolLM2-135M-Instruct --system "You answer briefly."'))
    .action(async (name: string, options: Options, command: Command) => {
      using device = await openDevice(command);
      const model = await loadModel(device, name, { weights: options.weights, cacheType: options.cacheType });
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
  tokenizerOf(model);
  const tools = options.tools && ((await readJson(options.tools)) as ChatOptions['tools']);
  return new Chat(model, { system, maxLength, whenFull, ...(tools ? { tools } : {}) });
}

function generationOf(options: Options, draft: Draft | null): ChatGenerateOptions {
  const { maxTokens: maxNewTokens, sample: doSample, seed } = options;
  const flags = { maxNewTokens, doSample, seed, draft: draft ?? undefined, ...generationFlags(options) };
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
}
