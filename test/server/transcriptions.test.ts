// Recordings that are written down, by OpenAI's client, with a real Whisper.
import { readFileSync } from 'node:fs';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { readWav, resample } from '../../src/pretrained/index.js';
import { type RunningServer, serve } from '../../src/server/index.js';
import { Transcriber } from '../../src/server/transcriber.js';
import { describeReal } from '../real-models.js';
import { stereoWav } from '../tasks/stereo-wav.js';
import { testData } from '../test-data.js';

/** Results of transformers' pipeline (make_speech.py). */
const { real: recorded }: { real: { options: { return_timestamps?: boolean | 'word' }; output: { text: string } }[] } =
  JSON.parse(readFileSync(new URL('../tasks/speech.json', import.meta.url), 'utf8'));

describe('translations', () => {
  it('are made by models of several languages only', async () => {
    const device = await createDevice({ threads: 1 });
    const names = [
      'config.json',
      'generation_config.json',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
      'model.safetensors',
    ];
    const files = Object.fromEntries(
      names.map((name) => [name, readFileSync(new URL(`../tasks/whisper/${name}`, import.meta.url))]),
    );
    const generation = JSON.stringify({
      ...JSON.parse(String(files['generation_config.json'])),
      is_multilingual: false,
    });
    const whisper = await loadModel(device, files);
    const english = await loadModel(device, { ...files, 'generation_config.json': Buffer.from(generation) });
    const server = await serve({ models: { whisper, english }, port: 0, log: 'none' });
    try {
      const { audio } = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
      const wav = await testData('checkpoints/real').bytes('jfk-16k.wav');
      const file = () => toFile(wav, 'jfk.wav', { type: 'audio/wav' });
      // The answers of a model of a few layers are doubtful, so that they are generated again at random.
      const transcribe = vi.spyOn(Transcriber.prototype, 'transcribe');
      const { text } = await audio.translations.create({ model: 'whisper', file: await file(), prompt: 'A talk' });
      expect(transcribe.mock.calls[0]![1]).toMatchObject({ task: 'translate' });
      expect(text).toBe((await transcribe.mock.results[0]!.value).text.trim());
      transcribe.mockRestore();
      const verbose = await audio.translations.create({
        model: 'whisper',
        file: await file(),
        response_format: 'verbose_json',
      });
      expect(verbose).toMatchObject({ task: 'translate', duration: 11 });
      await expect(audio.translations.create({ model: 'english', file: await file() })).rejects.toMatchObject({
        status: 400,
        message: expect.stringContaining('the model is English-only and can only transcribe'),
      });
    } finally {
      await server.close();
      device.dispose();
    }
  });
});

describeReal('whisper-tiny.en', async (path) => {
  describe('behind /v1/audio/transcriptions', async () => {
    const truth = testData('checkpoints/real');
    const wav = await truth.bytes('jfk-16k.wav');
    const said = (await truth.json<{ text: string }>('whisper-tiny.en.json')).text.trim();
    /** With times the model leaves a comma out, with transformers, too. */
    const timed = recorded.find(({ options }) => options.return_timestamps === true)!.output.text.trim();
    const file = () => toFile(wav, 'jfk.wav', { type: 'audio/wav' });
    const base = { model: 'whisper' } as const;
    let server: RunningServer & { end(): void };
    let client: OpenAI;

    beforeAll(async () => {
      const device = await createDevice({ threads: 2 });
      const whisper = await loadModel(device, path);
      const running = await serve({ models: { whisper }, port: 0, log: 'none', maxWaiting: 2, maxAudioBytes: 400_000 });
      server = { ...running, end: () => device.dispose() };
      client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none', maxRetries: 0 });
    });
    afterAll(async () => {
      await server?.close();
      server?.end();
    });

    it('refuses small files that would need hours of work', async () => {
      const slow = Buffer.from(wav);
      slow.writeUInt32LE(1, 24); // the sampling rate
      const form = { ...base, file: await toFile(slow, 'slow.wav', { type: 'audio/wav' }) };
      await expect(client.audio.transcriptions.create(form)).rejects.toMatchObject({
        status: 400,
        param: 'file',
        message: expect.stringContaining('1 Hz, expected at least 4000 Hz'),
      });
    });

    it('writes JSON and text, simultaneously and sequentially', async () => {
      const [json, text] = await Promise.all([
        client.audio.transcriptions.create({ ...base, file: await file(), language: 'en', temperature: 0 }),
        client.audio.transcriptions.create({ ...base, file: await file(), response_format: 'text' }),
      ]);
      expect(json).toEqual({ text: said });
      expect(text).toBe(`${said}\n`);
    });

    it('reads a file of two channels and 8 kHz', async () => {
      const samples = resample(readWav(wav).channels[0]!, 16000, 8000);
      const file = stereoWav(samples, samples, 8000);
      const form = { ...base, file: await toFile(file, 'telephone.wav', { type: 'audio/wav' }) };
      // Without frequencies above 4 kHz, the s of Americans is lost.
      const { text } = await client.audio.transcriptions.create(form);
      expect(text).toMatch(/^And so my fellow America(ns)? ask not what your country can do for you, ask what/);
    });

    it('reads an Opus file', async () => {
      const files: { name: string; file: string }[] = JSON.parse(
        readFileSync(new URL('../pretrained/audio-files.json', import.meta.url), 'utf8'),
      );
      const opus = Buffer.from(files.find(({ name }) => name === 'jfk.opus')!.file, 'base64');
      const form = { ...base, file: await toFile(opus, 'jfk.opus', { type: 'audio/ogg' }) };
      expect((await client.audio.transcriptions.create(form)).text).toMatch(/^And so,? my fellow Americans,? ask not/);
    });

    it('writes subtitles', async () => {
      const srt = await client.audio.transcriptions.create({ ...base, file: await file(), response_format: 'srt' });
      const times = String.raw`\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}`;
      const cues = String(srt)
        .trim()
        .split('\n\n')
        .map((cue) => cue.split('\n'));
      expect(cues.map(([number]) => number)).toEqual(cues.map((_, i) => String(i + 1)));
      for (const [, time] of cues) expect(time).toMatch(new RegExp(`^${times}$`));
      expect(cues.map(([, , text]) => text).join(' ')).toBe(timed);
      const vtt = await client.audio.transcriptions.create({ ...base, file: await file(), response_format: 'vtt' });
      const asVtt = cues.map(([, time, text]) => `${time?.replaceAll(',', '.')}\n${text}\n`);
      expect(vtt).toBe(`WEBVTT\n\n${asVtt.join('\n')}`);
    });

    it('returns words and segments with their times', async () => {
      const verbose = await client.audio.transcriptions.create({
        ...base,
        file: await file(),
        response_format: 'verbose_json',
        timestamp_granularities: ['word', 'segment'],
      });
      expect(verbose).toMatchObject({ text: timed, task: 'transcribe', duration: 11 });
      expect(
        verbose
          .segments!.map(({ text }) => text)
          .join('')
          .trim(),
      ).toBe(timed);
      expect(verbose.words!.map(({ word }) => word).join(' ')).toBe(timed);
      for (const { start, end } of [...verbose.words!, ...verbose.segments!])
        expect([0 <= start, start <= end, end <= 11]).toEqual([true, true, true]);
    });

    it('returns the confidence of segments, like openai-whisper', async () => {
      const { segments } = await client.audio.transcriptions.create({
        ...base,
        file: await file(),
        response_format: 'verbose_json' as const,
      });
      for (const [id, each] of segments!.entries()) {
        expect(each).toMatchObject({ id, seek: 0, temperature: 0 });
        expect([each.avg_logprob < 0, each.avg_logprob > -0.6, each.no_speech_prob < 0.1]).toEqual([true, true, true]);
        expect([each.compression_ratio > 0.8, each.compression_ratio < 2, each.tokens.length > 3]).toEqual([
          true,
          true,
          true,
        ]);
      }
    });

    it('streams, and accepts a prompt', async () => {
      const stream = await client.audio.transcriptions.create({ ...base, file: await file(), stream: true });
      const events = [];
      for await (const event of stream) events.push(event);
      const done = events.pop();
      expect(done).toEqual({ type: 'transcript.text.done', text: said });
      expect(events.map((event) => 'delta' in event && event.delta).join('')).toBe(said);
      const prompt = 'Speeches of Presidents, IN CAPITALS AS THEY WERE TELEGRAPHED: MY FELLOW CITIZENS';
      const loud = await client.audio.transcriptions.create({ ...base, file: await file(), prompt });
      expect(loud.text).not.toBe(said);
    });

    it('refuses files that are not sounds, too large files, and unknown fields', async () => {
      const refusal = async (fields: Record<string, string | Blob>) => {
        const body = new FormData();
        for (const [name, value] of Object.entries(fields)) body.append(name, value);
        const response = await fetch(`${server.url}/v1/audio/transcriptions`, { method: 'POST', body });
        const { error } = (await response.json()) as { error: { message: string; code: string; param: string } };
        return { status: response.status, ...error };
      };
      const sound = new Blob([wav as Uint8Array<ArrayBuffer>]);
      expect(await refusal({ ...base, file: new Blob(['mp3?']) })).toMatchObject({ status: 400, param: 'file' });
      expect(await refusal({ ...base, file: 'text' })).toMatchObject({ status: 400, param: 'file' });
      expect(await refusal({ ...base, file: new Blob([wav.slice(), wav.slice()]) })).toMatchObject({ status: 413 });
      expect(await refusal({ ...base, file: sound, temperature: 'hot' })).toMatchObject({
        status: 400,
        param: 'temperature',
        message: `'temperature' is "hot", expected a number from 0 to 1`,
      });
      expect(await refusal({ ...base, file: sound, langauge: 'en' })).toMatchObject({ code: 'unknown_parameter' });
      expect(await refusal({ ...base, file: sound, language: 'de' })).toMatchObject({ status: 400 });
      expect(await refusal({ model: 'gpt', file: sound })).toMatchObject({ status: 404 });
      const slow = Uint8Array.from(wav);
      new DataView(slow.buffer).setUint32(24, 1, true); // a sample a second: eleven seconds become two days
      expect(await refusal({ ...base, file: new Blob([slow]) })).toMatchObject({
        status: 400,
        param: 'file',
        message: expect.stringContaining('expected at least 4000 Hz'),
      });
      const json = await fetch(`${server.url}/v1/audio/transcriptions`, { method: 'POST', body: '{}' });
      expect(json.status).toBe(415);
    });

    it('lets waiting clients leave, and refuses too many of them', async () => {
      const controller = new AbortController();
      const ask = async (signal?: AbortSignal) =>
        client.audio.transcriptions.create({ ...base, file: await file() }, { signal: signal ?? null });
      const first = ask();
      const waits = [ask(controller.signal), ask(controller.signal)];
      const gone = Promise.allSettled(waits);
      const waiting = async () =>
        /simdformer_waiting\{model="whisper"\} (\d+)/.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1];
      await expect.poll(waiting, { interval: 2 }).toBe('2');
      await expect(ask()).rejects.toMatchObject({ status: 429, code: 'queue_full' });
      controller.abort();
      expect((await gone).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      expect(await first).toEqual({ text: said });
      expect(await waiting()).toBe('0');
    });

    it('is described in the OpenAPI document', async () => {
      const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
        paths: Record<string, { post: { requestBody: { content: Record<string, { schema: object }> } } }>;
      };
      const { content } = paths['/v1/audio/transcriptions']!.post.requestBody;
      expect(content['multipart/form-data']!.schema).toMatchObject({
        properties: { model: { enum: ['whisper'] }, file: { format: 'binary' } },
        required: ['model', 'file'],
      });
    });
  });
});
