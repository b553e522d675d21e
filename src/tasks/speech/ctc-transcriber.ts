// Speech recognition by CTC models. Each frame gives a letter, a piece of a word, or a blank. A token that is repeated
// in adjacent frames counts once.

import { afterEvents } from '../../backend/after-events.js';
import { checkOptions, describeValue } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { joinFloats } from '../../core/join-floats.js';
import type { Tensor } from '../../core/tensor.js';
import { SoundModel } from '../../models/sound-model.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { callOptionKinds } from '../batches.js';
import type { CallOptions } from '../task.js';
import { ctcAlignment, ctcBeams, type FrameScores } from './ctc-beams.js';
import type { SpeechRecognitionOptions, SpeechRecognitionOutput } from './recognition-options.js';
import { extractorOf, inputOf, type SoundExtractor } from './sound-extractor.js';
import { type SoundInput, samplesOf } from './sound-inputs.js';
import type { TranscriptChunk } from './transcript.js';

type CtcOptions = Pick<
  SpeechRecognitionOptions,
  'return_timestamps' | 'chunk_length_s' | 'stride_length_s' | 'onText' | 'num_beams' | 'numBeams' | keyof CallOptions
>;

/** A letter or piece of a word, with its frames: from `start` to before `end`. */
interface Letter {
  readonly id: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * A part of a recording: its samples, and the numbers of frames to ignore at its beginning (`left`) and end (`right`).
 */
interface Part {
  readonly samples: Float32Array;
  readonly left: number;
  readonly right: number;
}

/** SentencePiece's mark of a space. */
const WORD_START = '▁';

/** A CTC model with its tokenizer and feature extractor. */
export class CtcTranscriber {
  readonly #model: SoundModel;
  readonly #tokenizer: PretrainedTokenizer;
  readonly #extractor: SoundExtractor;
  readonly #blank: number;
  readonly #delimiter: string;
  /** True if tokens are pieces of words, and the first piece of each begins with a space. */
  readonly #isPieces: boolean;

  /** Throws FormatError for other models, or without a tokenizer or feature extractor. */
  constructor(
    private readonly task: string,
    model: LoadedModel,
  ) {
    const { tokenizer, config } = model;
    if (!(model instanceof SoundModel) || model.headKind !== 'ctc')
      throw new FormatError(`${task}: the model has the head '${model.headKind}', expected 'ctc' or 'language-model'`);
    if (tokenizer === null)
      throw new FormatError(`${task}: the model's folder has no tokenizer.json and no vocab.json`);
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#extractor = extractorOf(task, model);
    this.#blank = config.pad_token_id as number;
    this.#delimiter = String(tokenizer.config?.word_delimiter_token ?? '|');
    this.#isPieces = tokenizer.tokenToId(this.#delimiter) === undefined;
  }

  /** Hertz of the samples that the model reads. */
  get samplingRate(): number {
    return this.#extractor.samplingRate;
  }

  /** Transcribes recordings one after the other. Rejects as the task does. */
  async recognize(recordings: readonly SoundInput[], options: CtcOptions): Promise<SpeechRecognitionOutput[]> {
    const { return_timestamps: times, signal, onText, onProgress } = this.#check(options);
    const results: SpeechRecognitionOutput[] = [];
    for (const [i, recording] of recordings.entries()) {
      signal?.throwIfAborted();
      const samples = await samplesOf(this.task, recording, this.#extractor.samplingRate, signal);
      const letters = await this.#transcribe(samples, options);
      const text = this.#textOf(letters);
      onText?.({ recording: i, text });
      const chunks = times === 'char' ? this.#chunks(letters.map((letter) => [letter])) : this.#words(letters);
      results.push(times ? { text, chunks } : { text });
      onProgress?.({ done: results.length, total: recordings.length });
    }
    return results;
  }

  /** Throws ArgumentError for options that this kind of model does not have. */
  #check(options: CtcOptions): CtcOptions {
    const { return_timestamps: times, num_beams: beams, numBeams } = options;
    if ((times as unknown) === true)
      throw new ArgumentError(`${this.task}: return_timestamps is true, expected 'word' or 'char' for a CTC model`);
    if (beams !== undefined && numBeams !== undefined && beams !== numBeams)
      throw new ArgumentError(`${this.task}: num_beams is ${beams} and numBeams ${numBeams}, expected one of them`);
    return checkOptions(this.task, options, {
      return_timestamps: [false, 'word', 'char'],
      num_beams: 'count',
      numBeams: 'count',
      chunk_length_s: 'notNegative',
      stride_length_s: 'any',
      onText: 'function',
      ...callOptionKinds,
    });
  }

  /** Returns the letters of a recording. A recording longer than `chunk_length_s` is read in parts. */
  async #transcribe(samples: Float32Array, options: CtcOptions): Promise<Letter[]> {
    if (this.#extractor.framesOf(samples.length) < 1) return []; // too short for a frame
    const { num_beams, numBeams = num_beams ?? 1 } = options;
    const ids: number[] = [];
    const rows: Float32Array[] = [];
    let vocabulary = 1;
    for (const part of this.#parts(samples, options)) {
      options.signal?.throwIfAborted();
      const scores = await this.#read(part);
      ({ vocabulary } = scores);
      if (numBeams > 1) rows.push(logProbabilities(scores));
      else ids.push(...greedyIds(scores));
      await new Promise<void>((resolve) => afterEvents(resolve));
    }
    return this.#lettersOf(numBeams > 1 ? this.#beamSearch(joinFloats(rows), vocabulary, numBeams) : ids);
  }

  /** Returns the token of each frame in the most likely alignment of the text that beam search finds. */
  #beamSearch(values: Float32Array, vocabulary: number, beams: number): number[] {
    const scores = { values, vocabulary };
    return ctcAlignment(scores, ctcBeams(scores, beams, this.#blank), this.#blank) ?? greedyIds(scores);
  }

  /** Yields parts that overlap by strides of whole frames, as in transformers' pipeline. */
  *#parts(samples: Float32Array, options: CtcOptions): Generator<Part> {
    const { chunk_length_s: seconds = 0, stride_length_s: stride = seconds / 6 } = options;
    if (seconds === 0) {
      yield { samples, left: 0, right: 0 };
      return;
    }
    const whole = (time: number) =>
      Math.round((time * this.#extractor.samplingRate) / this.#extractor.step) * this.#extractor.step;
    const sides = typeof stride === 'number' ? [stride, stride] : Array.from(stride);
    const [length, left, right] = [seconds, ...sides].map(whole) as [number, number, number];
    if (sides.length !== 2 || !(left >= 0 && right >= 0 && left + right < length)) {
      const described = `chunk_length_s is ${seconds}, stride_length_s is ${describeValue(stride)}`;
      throw new ArgumentError(`${this.task}: ${described}, expected strides that are shorter together`);
    }
    for (let start = 0; start < samples.length; start += length - left - right) {
      const isLast = start + length >= samples.length;
      const part = samples.subarray(start, start + length);
      const before = start === 0 ? 0 : left;
      if (part.length > before && this.#extractor.framesOf(part.length) > 0)
        yield { samples: part, left: before, right: isLast ? 0 : right };
      if (isLast) return;
    }
  }

  /** Returns the logits of the frames that are not ignored. */
  async #read({ samples, left, right }: Part): Promise<FrameScores> {
    const model = this.#model;
    const extractor = this.#extractor;
    const logits = await inferenceAsync(model, function* () {
      const input = yield* inputOf(model, extractor, samples);
      return (yield* model.forwardInParts({ [model.soundInput]: input })).logits as Tensor; // [1, frames, vocabulary]
    });
    const [, frames, vocabulary] = logits.shape as [number, number, number];
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    const counted = Math.round(samples.length / this.#extractor.step);
    const inFrames = (size: number) => Math.round((size / samples.length) * counted);
    const end = right === 0 ? frames : counted - inFrames(right);
    const [first, last] = [inFrames(left), Math.min(frames, end)];
    return { values: values.subarray(first * vocabulary, Math.max(first, last) * vocabulary), vocabulary };
  }

  /** Joins adjacent frames with the same token, and drops blanks. */
  #lettersOf(ids: readonly number[]): Letter[] {
    const letters: Letter[] = [];
    let start = 0;
    for (let i = 1; i <= ids.length; i++) {
      if (i < ids.length && ids[i] === ids[start]) continue;
      const id = ids[start] as number;
      if (id !== this.#blank) letters.push({ id, text: this.#tokenizer.idToToken(id) ?? '', start, end: i });
      start = i;
    }
    return letters;
  }

  #textOf(letters: readonly Letter[]): string {
    if (this.#isPieces) return this.#tokenizer.decode(letters.map(({ id }) => id)).trim();
    const text = letters.map(({ text: letter }) => (letter === this.#delimiter ? ' ' : letter)).join('');
    return this.#tokenizer.config?.do_lower_case === true ? text.trim().toLowerCase() : text.trim();
  }

  #words(letters: readonly Letter[]): TranscriptChunk[] {
    const words: Letter[][] = [[]];
    for (const letter of letters) {
      if (this.#isPieces && letter.text.startsWith(WORD_START)) words.push([letter]);
      else if (letter.text === this.#delimiter) words.push([]);
      else words.at(-1)?.push(letter);
    }
    return this.#chunks(words.filter(({ length }) => length > 0));
  }

  #chunks(groups: readonly (readonly Letter[])[]): TranscriptChunk[] {
    const seconds = (frame: number) =>
      Math.round(((frame * this.#extractor.step) / this.#extractor.samplingRate) * 100) / 100;
    return groups.map((group) => ({
      text: this.#textOf(group),
      timestamp: [seconds(group[0]?.start ?? 0), seconds(group.at(-1)?.end ?? 0)] as const,
    }));
  }
}

/** Returns the most likely token of each frame. */
function greedyIds({ values, vocabulary }: FrameScores): number[] {
  return Array.from({ length: values.length / vocabulary }, (_, frame) => {
    const row = values.subarray(frame * vocabulary, (frame + 1) * vocabulary);
    return row.indexOf(row.reduce((max, value) => Math.max(max, value)));
  });
}

function logProbabilities({ values, vocabulary }: FrameScores): Float32Array {
  const result = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += vocabulary) {
    const row = values.subarray(start, start + vocabulary);
    const max = row.reduce((a, b) => Math.max(a, b));
    const sum = max + Math.log(row.reduce((total, value) => total + Math.exp(value - max), 0));
    for (const [i, value] of row.entries()) result[start + i] = value - sum;
  }
  return result;
}
