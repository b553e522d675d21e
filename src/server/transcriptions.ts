import { randomInt } from 'node:crypto';
import { FormatError } from '../core/errors.js';
import { EventQueue } from '../core/event-queue.js';
import { MissingPackageError } from '../io/optional-package.js';
import { decodeAudio } from '../pretrained/processors/decode-audio.js';
import type { Recording } from '../pretrained/processors/wav.js';
import type { SpeechRecognitionOptions, TranscriptChunk } from '../tasks/index.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import { field, flag, numeral, soundFile } from './form.js';
import type { ModelPool } from './model-pool.js';
import { count, listOf, nullable, shape, text } from './openapi-schemas.js';
import { array, nameOf, object, oneOf, type Read, type Schema, string } from './schema.js';
import { type Segment, subRip, webVtt } from './subtitles.js';
import type { Transcriber } from './transcriber.js';

/** Limits of a recording. An hour takes 230 MB of memory, and at a low sampling rate a few bytes are hours. */
const MIN_RATE = 4000;
const MAX_SECONDS = 4 * 3600;

const seconds = { type: 'number', minimum: 0 } as const;

const number = { type: 'number' } as const;

const segment = shape({
  id: count,
  seek: count,
  start: seconds,
  end: seconds,
  text,
  tokens: listOf(count),
  temperature: seconds,
  avg_logprob: number,
  compression_ratio: seconds,
  no_speech_prob: seconds,
});

/** The default of openai-whisper: a doubtful answer is generated again at a higher temperature. */
const FALLBACK: SpeechRecognitionOptions = {
  temperature: [0, 0.2, 0.4, 0.6, 0.8, 1],
  compression_ratio_threshold: 1.35,
  logprob_threshold: -1,
  no_speech_threshold: 0.6,
};

const FORMATS = ['json', 'text', 'srt', 'verbose_json', 'vtt'] as const;

const transcriptionBody = (model: Schema<string>) =>
  object({
    model,
    file: soundFile,
    language: field(string({ maxLength: 64 })),
    response_format: field(oneOf(FORMATS)),
    temperature: field(numeral({ min: 0, max: 1 })),
    prompt: field(string({ maxLength: 4096 })),
    stream: field(flag),
    'timestamp_granularities[]': field(array(oneOf(['segment', 'word']), { min: 1, max: 2 })),
  });

/** A translation to English. OpenAI offers neither a language nor times of words for it. */
const translationBody = (model: Schema<string>) =>
  object({
    model,
    file: soundFile,
    response_format: field(oneOf(FORMATS)),
    temperature: field(numeral({ min: 0, max: 1 })),
    prompt: field(string({ maxLength: 4096 })),
  });

export function transcriptions(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(({ transcriber }) => transcriber !== null));
  return endpoint({
    method: 'post',
    path: '/v1/audio/transcriptions',
    operationId: 'createTranscription',
    summary: 'Transcribes a recording.',
    body: transcriptionBody(name),
    isForm: true,
    response: transcript('transcribe'),
    texts: ['text/plain', 'text/vtt'],
    streams: true,
    handle: (call) => transcribe(call, 'transcribe'),
  });
}

export function translations(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(({ transcriber }) => transcriber?.isWhisper === true));
  return endpoint({
    method: 'post',
    path: '/v1/audio/translations',
    operationId: 'createTranslation',
    summary: 'Translates a recording to English.',
    body: translationBody(name),
    isForm: true,
    response: transcript('translate'),
    texts: ['text/plain', 'text/vtt'],
    handle: (call) => transcribe(call as Call<Body>, 'translate'),
  });
}

type Task = 'transcribe' | 'translate';

const transcript = (task: Task) =>
  shape(
    {
      text,
      task: { const: task },
      language: nullable(text),
      duration: seconds,
      segments: listOf(segment),
      words: listOf(shape({ word: text, start: seconds, end: seconds })),
    },
    ['task', 'language', 'duration', 'segments', 'words'],
  );

type Body = Read<ReturnType<typeof transcriptionBody>>;

async function transcribe({ body, client, signal, use }: Call<Body>, task: Task): Promise<Reply> {
  const served = await use(body.model);
  const { transcriber } = served;
  if (!transcriber)
    throw new ApiError(400, `The model '${served.id}' does not transcribe speech`, 'unsupported_model', 'model');
  if (task === 'translate' && !transcriber.isWhisper)
    throw new ApiError(400, `The model '${served.id}' does not translate speech`, 'unsupported_model', 'model');
  const recording = await recordingOf(new Uint8Array(await body.file.arrayBuffer()), signal);
  const options = { ...optionsOf(body, transcriber), ...(task === 'translate' ? { task } : {}) };
  const recognize: Recognize = (timestamps, more = {}) =>
    transcriber.transcribe(
      recording,
      { ...options, ...more, return_timestamps: timestamps, return_language: true },
      client,
      signal,
    );
  const { stream, response_format: format = 'json' } = body;
  if (!stream) return reply(recognize, format, task, durationOf(recording), body['timestamp_granularities[]']);
  if (format !== 'json') throw new ApiError(400, "'stream' is for 'response_format' json", 'invalid_value', 'stream');
  return { events: deltas(recognize) };
}

function optionsOf(body: Body, transcriber: Transcriber): SpeechRecognitionOptions {
  const { language, temperature = 0, prompt } = body;
  checkAbilities(body, transcriber);
  if (!transcriber.isWhisper) return {};
  return {
    ...(language === undefined ? {} : { language }),
    ...(temperature > 0 ? { doSample: true, temperature } : FALLBACK),
    seed: randomInt(2 ** 32),
    prompt_ids: prompt === undefined ? [] : transcriber.promptOf(prompt),
  };
}

/** Throws ApiError 400 for fields that only Whisper, or only models with times of words, support. */
function checkAbilities(body: Body, { isWhisper, hasWordTimes }: Transcriber): void {
  const refused = (name: string) =>
    new ApiError(400, `'${name}' is not supported by this model`, 'invalid_value', name);
  const wanted = isWhisper ? [] : (['language', 'prompt', 'temperature'] as const);
  for (const name of wanted) if (body[name] !== undefined && body[name] !== 0) throw refused(name);
  const granularities = body['timestamp_granularities[]'] ?? [];
  if (!hasWordTimes && granularities.includes('word')) throw refused('timestamp_granularities[]');
}

/** The transcript in the requested format. */
async function reply(
  recognize: Recognize,
  format: (typeof FORMATS)[number],
  task: Task,
  duration: number,
  wanted: readonly ('segment' | 'word')[] = ['segment'],
): Promise<Reply> {
  if (format === 'verbose_json') return { json: { task, ...(await verboseTranscript(recognize, duration, wanted)) } };
  if (format === 'json' || format === 'text') {
    const spoken = (await recognize(false)).text.trim();
    return format === 'json' ? { json: { text: spoken } } : { text: `${spoken}\n`, type: 'text/plain' };
  }
  const segments = segmentsOf((await recognize(true)).chunks, duration);
  return format === 'srt'
    ? { text: subRip(segments), type: 'text/plain' }
    : { text: webVtt(segments), type: 'text/vtt' };
}

type Recognize = (
  timestamps: SpeechRecognitionOptions['return_timestamps'],
  more?: SpeechRecognitionOptions,
) => ReturnType<Transcriber['transcribe']>;

/** OpenAI's events: pieces of text once they are final, then the whole text. */
async function* deltas(recognize: Recognize): AsyncGenerator<object, void, void> {
  const pieces = new EventQueue<string>();
  const transcription = recognize(false, { onText: ({ text }) => pieces.push(text) });
  transcription.then(
    () => pieces.end(),
    (error) => pieces.fail(error),
  );
  let isFirst = true;
  for await (const texts of pieces)
    for (const piece of texts) {
      yield { type: 'transcript.text.delta', delta: isFirst ? piece.trimStart() : piece };
      isFirst = false;
    }
  yield { type: 'transcript.text.done', text: (await transcription).text.trim() };
}

/** Returns the transcript with times. The recording is transcribed twice if words and segments are requested. */
async function verboseTranscript(
  recognize: Recognize,
  duration: number,
  wanted: readonly ('segment' | 'word')[],
): Promise<object> {
  const withWords = wanted.includes('word') ? await recognize('word') : null;
  const withSegments = wanted.includes('segment') ? await recognize(true, { return_quality: true }) : null;
  const { text: spoken, chunks } = (withSegments ?? withWords) as Awaited<ReturnType<Recognize>>;
  const words = segmentsOf(withWords?.chunks, duration).map(({ text, ...times }) => ({ word: text.trim(), ...times }));
  return {
    language: chunks?.[0]?.language ?? null,
    duration,
    text: spoken.trim(),
    ...(withSegments ? { segments: verboseSegments(withSegments.chunks ?? [], duration) } : {}),
    ...(withWords ? { words } : {}),
  };
}

/** Returns segments in the form of openai-whisper. */
function verboseSegments(chunks: readonly TranscriptChunk[], duration: number): object[] {
  return segmentsOf(chunks, duration).map((part, id) => {
    const { quality, tokens, seek } = chunks[id] as TranscriptChunk;
    return {
      id,
      seek,
      ...part,
      tokens,
      temperature: quality?.temperature,
      avg_logprob: quality?.averageLogProbability,
      compression_ratio: quality?.compressionRatio,
      no_speech_prob: quality?.noSpeechProbability,
    };
  });
}

/** Returns segments with both times. A missing start is the start of the recording, a missing end its end. */
function segmentsOf(chunks: readonly TranscriptChunk[] = [], duration: number): Segment[] {
  return chunks.map(({ text, timestamp: [start, end] }) => ({ start: start ?? 0, end: end ?? duration, text }));
}

/**
 * Reads a recording. Rejects with ApiError 400 for a file that cannot be decoded, is too long, or has a low sampling
 * rate. Rejects with ApiError 415 if the package for its format is not installed.
 */
async function recordingOf(bytes: Uint8Array, signal: AbortSignal): Promise<Recording> {
  const refused = (message: string) => new ApiError(400, message, 'invalid_value', 'file');
  try {
    const recording = await decodeAudio(bytes, undefined, signal);
    const { samplingRate } = recording;
    if (samplingRate < MIN_RATE)
      throw refused(`'file' has a sampling rate of ${samplingRate} Hz, expected at least ${MIN_RATE} Hz`);
    const duration = durationOf(recording);
    if (!(duration <= MAX_SECONDS))
      throw refused(`'file' is ${duration} seconds long, expected at most ${MAX_SECONDS}`);
    if (duration === 0) throw refused("'file' has no samples");
    return recording;
  } catch (error) {
    if (error instanceof FormatError) throw refused(`'file': ${error.message}`);
    if (error instanceof MissingPackageError)
      throw new ApiError(415, `'file': ${error.message}`, 'unsupported_format', 'file');
    throw error;
  }
}

const durationOf = ({ channels, samplingRate }: Recording) => (channels[0]?.length ?? 0) / samplingRate;
