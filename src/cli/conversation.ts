// A conversation in the terminal, or by lines of standard input.

import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import type { Chat, ChatGenerateOptions } from '../tasks/chat/index.js';
import type { ChatMessage } from '../tokenizers/index.js';
import { describeError } from './exit.js';

const HELP = `/help          what can be done
/reset         begin anew; the model forgets what was said
/undo          take back the latest message and its answer
/image FILE    add an image to the next message, for a model that reads images
/save FILE     keep the conversation; simdformer chat --restore FILE goes on with it
/exit          leave, as Ctrl-D does
Ctrl-C stops an answer; the conversation goes on. \\ at the end of a line goes on with the next one.
A pasted text is one message, which Enter sends.
`;

/** Number of messages that the arrow keys recall. */
const HISTORY_SIZE = 1000;

/** Sequences that make a terminal mark what is pasted, and stop that. */
const MARK_PASTES = '\x1b[?2004h';
const LEAVE_PASTES = '\x1b[?2004l';

/**
 * Returns a function that tells for each line in turn if it was pasted, and not typed. Readline has already passed on
 * the lines of a paste when they are read, so this is noted as they come.
 */
function watchPastes(lines: Interface, input: Readable): () => boolean {
  const noted: boolean[] = [];
  let isPasting = false;
  input.on('keypress', (_, key?: { name?: string }) => {
    if (key?.name === 'paste-start') isPasting = true;
    if (key?.name === 'paste-end') isPasting = false;
  });
  lines.on('line', () => noted.push(isPasting));
  return () => noted.shift() ?? false;
}

/**
 * Answers lines until the input ends. In a terminal, lines are edited and recalled as usual, and Ctrl-C stops the
 * current answer. `images`: files of the first message. An invalid message is reported on standard error, and the
 * conversation continues.
 */
export async function converse(
  chat: Chat,
  generation: ChatGenerateOptions,
  input: Readable & { isTTY?: boolean },
  output: Writable,
  images: readonly string[] = [],
): Promise<void> {
  const attached = [...images];
  const terminal = input.isTTY === true;
  const lines = createInterface({ input, output, terminal, historySize: HISTORY_SIZE });
  const isPasted = watchPastes(lines, input);
  const marksPastes = terminal && process.env.TERM !== 'dumb';
  let unfinishedMessage = '';
  const answering: { controller: AbortController | null } = { controller: null };
  const interrupt = () => {
    if (answering.controller) answering.controller.abort();
    else if (terminal) {
      unfinishedMessage = '';
      hint(lines, output);
    } else lines.close();
  };
  lines.on('SIGINT', interrupt);
  if (!terminal) process.on('SIGINT', interrupt);
  if (terminal) output.write('/help says what can be done.\n');
  if (marksPastes) output.write(MARK_PASTES);
  const showPrompt = (prompt = '> ') => {
    lines.setPrompt(prompt);
    if (terminal) lines.prompt(true);
  };
  try {
    showPrompt();
    for await (const line of lines) {
      const isPart = isPasted();
      if (isPart || line.endsWith('\\')) {
        unfinishedMessage += `${isPart ? line : line.slice(0, -1)}\n`;
        showPrompt('… ');
        continue;
      }
      const message = unfinishedMessage + line;
      unfinishedMessage = '';
      if (isCommand(message)) {
        if (!(await runCommand(chat, message, output, attached))) break;
      } else if (message.trim() !== '') {
        answering.controller = new AbortController();
        await answer(
          chat,
          withImages(message, attached.splice(0)),
          { ...generation, signal: answering.controller.signal },
          output,
        );
        answering.controller = null;
      }
      showPrompt();
    }
  } finally {
    process.off('SIGINT', interrupt);
    if (marksPastes) output.write(LEAVE_PASTES);
    lines.close();
  }
}

/** If no answer is running, Ctrl-C clears the line and prints a hint. */
function hint(lines: Interface, output: Writable): void {
  output.write(lines.line === '' ? '\n(Ctrl-D or /exit leaves)\n' : '\n');
  lines.write(null, { ctrl: true, name: 'e' });
  lines.write(null, { ctrl: true, name: 'u' });
  lines.setPrompt('> ');
  lines.prompt();
}

/** A user's message, with images before the text. */
function withImages(text: string, files: readonly string[]): string | ChatMessage {
  if (files.length === 0) return text;
  const images = files.map((image) => ({ type: 'image', image }));
  return { role: 'user', content: [...images, { type: 'text', text }] };
}

async function answer(
  chat: Chat,
  message: string | ChatMessage,
  options: ChatGenerateOptions,
  output: Writable,
): Promise<void> {
  try {
    for await (const piece of chat.send(message, options)) output.write(piece);
    output.write('\n');
    for (const { name, arguments: args } of chat.answer?.toolCalls ?? [])
      output.write(`(calls ${name} ${JSON.stringify(args)})\n`);
    const { hiddenTurns = 0, finishReason } = chat.answer ?? {};
    if (hiddenTurns > 0)
      console.error(`(the context is full: the model no longer sees the first ${turns(hiddenTurns)})`);
    if (finishReason === 'length') console.error('(the answer is as long as it may be)');
  } catch (error) {
    if (options.signal?.aborted) output.write('\n(stopped)\n');
    else report(error);
  }
}

const turns = (count: number) => (count === 1 ? 'turn' : `${count} turns`);

/** A command is a slash and one word. Paths differ by further slashes. */
const isCommand = (line: string) => /^\/\w+(\s|$)/.test(line);

/** Runs a command. Returns true if the conversation continues. */
async function runCommand(chat: Chat, line: string, output: Writable, attached: string[]): Promise<boolean> {
  const [command, ...rest] = line.trim().split(/\s+/);
  try {
    switch (command) {
      case '/help':
        output.write(HELP);
        break;
      case '/reset':
        chat.reset();
        break;
      case '/image':
        if (rest.length === 0) console.error('simdformer: /image needs the name of a file');
        else attached.push(rest.join(' '));
        break;
      case '/undo':
        chat.rewind();
        break;
      case '/save':
        if (rest.length === 0) console.error('simdformer: /save needs the name of a file');
        else {
          await chat.save(rest.join(' '));
          output.write(`(saved to ${rest.join(' ')})\n`);
        }
        break;
      case '/exit':
        return false;
      default:
        console.error(`simdformer: there is no ${command}; /help says what there is`);
    }
  } catch (error) {
    report(error);
  }
  return true;
}

/** Prints errors that the user caused. Throws all others. */
function report(error: unknown): void {
  const message = describeError(error);
  if (message === undefined) throw error;
  console.error(`simdformer: ${message}`);
}
