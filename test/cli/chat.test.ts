import { execFile } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chatCommand } from '../../src/cli/commands/chat.js';
import { converse } from '../../src/cli/conversation.js';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { WHEN_FULL } from '../../src/tasks/chat/chat-options.js';
import { Chat } from '../../src/tasks/index.js';
import { argumentsOf, simdformer, temporaryFolder } from './run-cli.js';

const template =
  '{{ bos_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}' +
  '{% if add_generation_prompt %}assistant: {% endif %}';

it('refuses a message that does not fit by default, like the library', () => {
  const option = chatCommand().options.find(({ long }) => long === '--when-full');
  expect([option?.defaultValue, option?.argChoices]).toEqual(['refuse', ['refuse', 'shift']]);
  expect(option?.defaultValue).toBe(WHEN_FULL[0]);
});

describe('simdformer chat', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeAll(async () => {
    folder = await temporaryFolder();
    const stories = fileURLToPath(new URL('../data/checkpoints/tinystories-656k', import.meta.url));
    await cp(stories, folder.at('stories'), { recursive: true, filter: (path) => !path.endsWith('.gguf') });
    const config = folder.at('stories/tokenizer_config.json');
    const settings = JSON.parse(await readFile(config, 'utf8'));
    await writeFile(config, JSON.stringify({ ...settings, chat_template: template }));
  });
  afterAll(() => folder.remove());

  it('answers lines, saves, resumes, and reports errors', async () => {
    const [model, saved] = [folder.at('stories'), folder.at('saved chat.json')];
    const talk = (lines: string[], ...args: string[]) =>
      simdformer(['chat', model, '--max-tokens', '8', ...args], { input: lines.join('\n') });
    const first = await talk(['Once', '', '/help', '/nothing', '/save', `/save ${saved}`, '/exit', 'unread']);
    expect(first.code).toBe(0);
    expect(first.stdout).toContain('/undo');
    expect(first.stdout).toContain(`(saved to ${saved})`);
    expect(first.stderr).toContain('there is no /nothing');
    expect(first.stderr).toContain('/save needs the name of a file');
    expect(first.stderr).toContain('(the answer is as long as it may be)');
    const { messages } = JSON.parse(await readFile(saved, 'utf8'));
    const answer = `${messages[1].content}\n`;
    expect(answer.length).toBeGreaterThan(5);
    expect(messages).toEqual([
      { role: 'user', content: 'Once' },
      { role: 'assistant', content: answer.slice(0, -1) },
    ]);
    expect(first.stdout.startsWith(answer)).toBe(true);
    // Same, undone and said again in two lines; with guesses; and after saving.
    const others = await talk(['Once', '/undo', '/undo', 'On\\', 'ce', '/reset', 'Once'], '--draft', 'prompt');
    expect(others.stdout.startsWith(answer)).toBe(true);
    expect(others.stdout.endsWith(answer)).toBe(true);
    expect(others.stderr).toContain('turns is 1, expected 1 to 0');
    const restored = await talk([`/save ${saved}`], '--restore', saved);
    expect(restored.code).toBe(0);
    expect(JSON.parse(await readFile(saved, 'utf8')).messages).toEqual(messages);
    const layer = await talk(['x'], '--draft', 'mtp');
    expect(layer).toMatchObject({ code: 1, stderr: expect.stringContaining('expected a Qwen 3.5 or a Gemma 4') });
    expect(await talk(['x'], '--restore', folder.at('missing'))).toMatchObject({ code: 1 });
    const isFolder = `simdformer: ${folder.at('stories')}: it is a folder (EISDIR)\n`;
    expect(await talk(['x'], '--restore', folder.at('stories'))).toMatchObject({ code: 1, stderr: isFolder });
    expect((await talk(['x'], '--context', '1')).code).toBe(2);
    for (const more of ['--system=x', '--tools=x.json', '--context=64', '--when-full=shift'])
      expect(await talk(['x'], '--restore', saved, more)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`'--restore <file>' cannot be used with option '${more.split('=')[0]}`),
      });
    // The answer of packed weights is that of the library.
    const device = await createDevice({ threads: 2 });
    const packed = new Chat(await loadModel(device, model, { weights: 'int4' }));
    let said = '';
    for await (const piece of packed.send('Once', { maxNewTokens: 8 })) said += piece;
    device.dispose();
    expect(await talk(['Once'], '--weights', 'int4')).toMatchObject({ code: 0, stdout: `${said}\n` });
    expect((await talk(['x'], '--weights', 'int3')).code).toBe(2);
    expect((await talk(['x'], '--tools', 'README.md')).stderr).toMatch(/^simdformer: README.md is not JSON: .*\n$/);
  });

  describe('in a terminal', () => {
    it('recalls lines, and stops at Ctrl-C without losing the conversation', async () => {
      const device = await createDevice({ threads: 2 });
      const chat = new Chat(await loadModel(device, folder.at('stories')));
      const input = Object.assign(new PassThrough(), { isTTY: true });
      const output = new PassThrough();
      let shown = '';
      let stopped = 0;
      output.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
        const answers = shown.split('\r\n').slice(1); // each line that is sent ends so
        if (answers.length !== stopped + 1 || (answers.at(-1) as string).length < 4) return;
        stopped++; // once the answer has begun
        input.write('\u0003');
      });
      const until = async (condition: () => boolean) => {
        for (const end = Date.now() + 30_000; !condition(); ) {
          if (Date.now() > end) throw new Error(`waited in vain; shown was ${JSON.stringify(shown)}`);
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const ended = converse(chat, { stopTokens: [], doSample: true }, input, output);
      input.write('Tell me a story\r');
      await until(() => shown.split('(stopped)').length === 2);
      expect(chat.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
      const begun = chat.messages[1]!.content as string;
      expect(begun.length).toBeGreaterThan(1);
      input.write('\u001b[A\r'); // the line before, once more
      await until(() => shown.split('(stopped)').length === 3);
      expect(chat.messages).toHaveLength(4);
      expect(chat.messages[2]).toEqual({ role: 'user', content: 'Tell me a story' });
      expect(chat.messages[1]!.content).toBe(begun);
      input.write('half\u0003'); // gives up the line
      input.write('\u0003');
      await until(() => shown.includes('(Ctrl-D or /exit leaves)'));
      input.write('/exit\r');
      await ended;
      expect(chat.messages).toHaveLength(4);
      device.dispose();
    });

    it('takes a pasted text of several lines as one message, and forgets an unfinished one at Ctrl-C', async () => {
      const device = await createDevice({ threads: 2 });
      const chat = new Chat(await loadModel(device, folder.at('stories')));
      const input = Object.assign(new PassThrough(), { isTTY: true });
      const output = new PassThrough();
      let shown = '';
      output.setEncoding('utf8').on('data', (text: string) => {
        shown += text;
      });
      const ended = converse(chat, { maxNewTokens: 2 }, input, output);
      const said = () => chat.messages.filter(({ role }) => role === 'user').map(({ content }) => content);
      input.write('\u001b[200~one\\\rtwo\r\rthree\u001b[201~');
      await expect.poll(() => shown).toContain('… three');
      expect(said()).toEqual([]);
      input.write(' four\r');
      await expect.poll(() => chat.messages.length, { timeout: 30_000 }).toBe(2);
      input.write('half\\\r');
      await expect.poll(() => shown.split('… ').length).toBeGreaterThan(shown.split('… three').length);
      input.write('\u0003');
      input.write('typed\r');
      await expect.poll(() => chat.messages.length, { timeout: 30_000 }).toBe(4);
      expect(said()).toEqual(['one\\\ntwo\n\nthree four', 'typed']);
      input.write('/exit\r');
      await ended;
      expect(shown.indexOf('\u001b[?2004h')).toBeLessThan(shown.indexOf('\u001b[?2004l'));
      device.dispose();
    });

    it.runIf(platform() === 'linux')('is one of its own, whose lines are edited', async () => {
      const saved = folder.at('terminal.json');
      // An answer may have ended by itself when Ctrl-C comes, which then tells how to leave.
      const over = '\\(stopped\\)|leaves\\)';
      // Each step: what is waited for, and what is typed then.
      const steps = [
        ['/help says', 'Tell me a stroy'],
        ['stroy', '\u001b[D\u001b[D\u007f\u001b[Cr'], // ← ← ⌫ → r
        ['r', '\u0001\u0005'], // Ctrl-A, Ctrl-E
        ['G', '\r'],
        ['\n', ''],
        ['e', '\u0003'], // once the answer has begun
        [over, '/help\r'],
        ['Ctrl-C stops', '\u001b[A\u001b[A\r'], // the line before the last
        ['Tell me a story', ''],
        ['\n', ''],
        ['e', '\u0003'],
        [over, `/save ${saved}\r`],
        ['saved to', '\u0004'], // Ctrl-D
      ];
      const type = [
        'import json, os, pty, re, sys',
        'steps = json.loads(sys.argv[1])',
        'pid, terminal = pty.fork()',
        'if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])',
        "seen = ''",
        'for wanted, typed in steps:',
        '    while not re.search(wanted, seen): seen += os.read(terminal, 65536).decode(errors="replace")',
        '    seen = seen[re.search(wanted, seen).end():]',
        '    os.write(terminal, typed.encode())',
        'try:',
        '    while os.read(terminal, 65536): pass',
        'except OSError: pass',
        'print(os.WEXITSTATUS(os.waitpid(pid, 0)[1]))',
      ].join('\n');
      const talk = ['chat', folder.at('stories'), '--max-tokens', '400'];
      const command = ['-c', type, JSON.stringify(steps), process.execPath, ...argumentsOf(talk)];
      const { stdout } = await promisify(execFile)('python3', command, { env: { ...process.env, TERM: 'xterm' } });
      expect(stdout.trim()).toBe('0');
      const { messages } = JSON.parse(await readFile(saved, 'utf8'));
      const roles = messages.map(({ role }: { role: string }) => role);
      expect(roles.filter((role: string) => role === 'user').length).toBe(2);
      for (const { role, content } of messages) if (role === 'user') expect(content).toBe('Tell me a story');
    });
  });
});
