// The recording of JFK, written down from the command line.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { describeReal } from '../real-models.js';
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'simdformer-transcribe-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describeReal('whisper-tiny.en', async (path) => {
  describe('transcribe', () => {
    const recording = 'test/data/checkpoints/real/jfk-16k.wav';

    it('writes text, JSON with times, and subtitles', async () => {
      const { code, stdout, stderr } = await simdformer(['transcribe', path, recording]);
      expect(code, stderr).toBe(0);
      expect(stdout.trim()).toMatch(/^And so my fellow Americans ask not what your country can do for you/);
      const timed = await simdformer(['transcribe', path, recording, '--words']);
      expect(timed.stdout).toMatch(/^\[0\.\d\d-\d\.\d\d\] And \[\d\.\d\d-\d\.\d\d\] so \[/);
      expect(timed.stdout.trim().split('\n')).toHaveLength(1);
      const out = join(folder, 'words.jsonl');
      expect((await simdformer(['transcribe', path, recording, '--words', '--format', 'jsonl', '-o', out])).code).toBe(
        0,
      );
      const { file, chunks } = JSON.parse(readFileSync(out, 'utf8')) as { file: string; chunks: { text: string }[] };
      expect([file, chunks[3]?.text.trim()]).toEqual([recording, 'fellow']);
      const again = await simdformer(['transcribe', path, recording, '--format', 'vtt', '--overwrite']);
      expect(again.stdout).toMatch(/^WEBVTT\n\n00:00:00\.000 --> 00:00:0/);
    });

    it('reads names of files, or a file, from standard input', async () => {
      const named = await simdformer(['transcribe', path], { input: `${recording}\n\n${recording}` });
      expect(
        named.stdout
          .trim()
          .split('\n')
          .map((line) => line.slice(0, 7)),
        named.stderr,
      ).toEqual(['And so ', 'And so ']);
      const { stdout } = await simdformer(['transcribe', path, '-'], { input: readFileSync(recording) });
      expect(stdout).toMatch(/^And so my/);
    });

    it('reads an Opus file', async () => {
      const files: { name: string; file: string }[] = JSON.parse(
        readFileSync('test/pretrained/audio-files.json', 'utf8'),
      );
      const opus = join(folder, 'jfk.opus');
      writeFileSync(opus, Buffer.from(files.find(({ name }) => name === 'jfk.opus')!.file, 'base64'));
      const { code, stdout, stderr } = await simdformer(['transcribe', path, opus]);
      expect(code, stderr).toBe(0);
      expect(stdout).toMatch(/^And so,? my fellow Americans,? ask not what your country can do for you/);
    });

    it('refuses other files, and several files for subtitles', async () => {
      expect((await simdformer(['transcribe', path, 'README.md'])).stderr).toContain(
        'this is not a readable sound file',
      );
      const slow = join(folder, 'slow.wav');
      const bytes = readFileSync(recording);
      bytes.writeUInt32LE(1, 24); // the sampling rate
      writeFileSync(slow, bytes);
      expect((await simdformer(['transcribe', path, slow])).stderr).toContain(`simdformer: ${slow}: automatic`);
      const two = await simdformer(['transcribe', path, recording, recording, '--format', 'srt']);
      expect(two.stderr).toContain('srt is for one recording');
    });

    const reason = canSpeak() ? '' : ': not tested, espeak-ng is missing (apt-get install espeak-ng)';
    it.skipIf(reason !== '')(`follows a recording of minutes to its end${reason}`, { timeout: 240_000 }, async () => {
      const sentences = [
        'A dog runs along the beach.',
        'Two children are playing in the garden.',
        'The man is reading a book.',
      ];
      const text = Array.from({ length: 12 }, () => sentences.join(' ')).join(' ');
      const long = join(folder, 'long.wav');
      execFileSync('espeak-ng', ['-s', '150', '-w', long, text]);
      const { stdout } = await simdformer(['transcribe', path, long], { threads: null });
      const said = (word: string) => stdout.toLowerCase().split(word).length - 1;
      for (const word of ['beach', 'garden', 'book']) expect(said(word), stdout).toBeGreaterThanOrEqual(10);
    });
  });
});

function canSpeak(): boolean {
  try {
    execFileSync('espeak-ng', ['--version']);
    return true;
  } catch {
    return false;
  }
}
