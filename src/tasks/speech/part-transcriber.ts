// Speech recognition by models that transcribe a part of a recording in one pass: Moonshine, and Parakeet as a
// transducer. Long recordings are cut where they are quiet.

import { afterEvents } from '../../backend/after-events.js';
import { checkOptions } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { ParakeetTransducer } from '../../models/families/parakeet.js';
import { SoundSeq2SeqModel } from '../../models/sound-seq2seq-model.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { callOptionKinds } from '../batches.js';
import { type GenerationArguments, generationArguments } from '../generation-arguments.js';
import { quietest } from './quietest.js';
import type { SpeechRecognitionOptions, SpeechRecognitionOutput } from './recognition-options.js';
import { extractorOf, inputOf, type SoundExtractor } from './sound-extractor.js';
import { type SoundInput, samplesOf } from './sound-inputs.js';
import type { TranscriptChunk } from './transcript.js';

/** Default of `chunk_length_s`, the maximum seconds of a part. Models also read longer parts, but less exactly. */
const PART_SECONDS = 30;
/**
 * `SEARCHED`: fraction of a part, at its end, in which the quietest position is searched. `QUIET_SECONDS`: length of
 * the compared pieces.
 */
const [SEARCHED, QUIET_SECONDS] = [0.2, 0.02];
/** Maximum number of tokens per second of speech, as in transformers.js. */
const TOKENS_PER_SECOND = 6;

const OWN = ['signal', 'onProgress', 'batchSize', 'return_timestamps', 'chunk_length_s', 'onText'] as const;

/** A token with its frames: from `start` to before `end`. */
interface Piece {
  readonly id: number;
  readonly start: number;
  readonly end: number;
}

/** Text of a part, with the times of its tokens if the model knows them. */
interface PartTranscript {
  readonly text: string;
  readonly pieces: readonly Piece[] | null;
}

/** True for models that `PartTranscriber` supports. */
export function isPartTranscribed(model: LoadedModel): boolean {
  return model.headKind === 'transducer' || model instanceof SoundSeq2SeqModel;
}

/** A model that transcribes parts of recordings, with its tokenizer and feature extractor. */
export class PartTranscriber {
  readonly #extractor: SoundExtractor;
  readonly #tokenizer: PretrainedTokenizer;

  /** Throws FormatError for a model without a tokenizer or feature extractor. */
  constructor(
    private readonly task: string,
    private readonly model: LoadedModel,
  ) {
    if (model.tokenizer === null) throw new FormatError(`${task}: the model's folder has no tokenizer.json`);
    this.#tokenizer = model.tokenizer;
    this.#extractor = extractorOf(task, model);
  }

  /** Hertz of the samples that the model reads. */
  get samplingRate(): number {
    return this.#extractor.samplingRate;
  }

  /** Transcribes recordings one after the other. Rejects as the task does. */
  async recognize(
    recordings: readonly SoundInput[],
    options: SpeechRecognitionOptions,
  ): Promise<SpeechRecognitionOutput[]> {
    const isTransducer = this.model.headKind === 'transducer';
    const pipelineOptions = Object.fromEntries(OWN.map((name) => [name, options[name]]));
    const {
      return_timestamps: times,
      signal,
      onText,
      onProgress,
      chunk_length_s: seconds,
    } = checkOptions(this.task, pipelineOptions as Pick<SpeechRecognitionOptions, (typeof OWN)[number]>, {
      return_timestamps: isTransducer ? [false, true, 'word'] : [false, true],
      chunk_length_s: 'notNegative',
      onText: 'function',
      ...callOptionKinds,
    });
    const results: SpeechRecognitionOutput[] = [];
    for (const [i, recording] of recordings.entries()) {
      signal?.throwIfAborted();
      const samples = await samplesOf(this.task, recording, this.#extractor.samplingRate, signal);
      const texts: string[] = [];
      const chunks: TranscriptChunk[] = [];
      for (const { start, end } of this.#partsOf(samples, seconds || PART_SECONDS)) {
        signal?.throwIfAborted();
        const part = samples.subarray(start, end);
        const transcript = await this.#transcribe(part, options);
        if (transcript.text !== '') {
          onText?.({ recording: i, text: transcript.text });
          texts.push(transcript.text);
          chunks.push(...this.#chunksOf(transcript, start, end, times === 'word'));
        }
        await new Promise<void>((resolve) => afterEvents(resolve));
      }
      const text = texts.join(' ');
      results.push(times ? { text, chunks } : { text });
      onProgress?.({ done: results.length, total: recordings.length });
    }
    return results;
  }

  /** Yields parts of at most `seconds`. Each is cut at the quietest position near its end. */
  *#partsOf(samples: Float32Array, seconds: number): Generator<{ start: number; end: number }> {
    const { samplingRate } = this.#extractor;
    const max = Math.max(1, Math.round(seconds * samplingRate));
    const width = Math.max(1, Math.round(QUIET_SECONDS * samplingRate));
    for (let start = 0; start < samples.length; ) {
      const end =
        samples.length - start <= max
          ? samples.length
          : quietest(samples, start + Math.floor((1 - SEARCHED) * max), start + max, width);
      yield { start, end };
      start = end;
    }
  }

  async #transcribe(samples: Float32Array, options: SpeechRecognitionOptions): Promise<PartTranscript> {
    const { model } = this;
    if (this.#extractor.framesOf(this.#padded(samples).length) < 1) return { text: '', pieces: null }; // too short for a frame
    if (model.headKind === 'transducer') return this.#transduce(samples);
    const { temperature, ...others } = options;
    const sampling = typeof temperature === 'number' ? { ...others, temperature } : others;
    const generate = generationArguments(this.task, model, sampling as GenerationArguments, [...OWN] as never);
    const input = await inferenceAsync(model, () => inputOf(model, this.#extractor, this.#padded(samples)));
    try {
      const seconds = samples.length / this.#extractor.samplingRate;
      const { sequences } = await model.generate(input, {
        maxNewTokens: Math.max(TOKENS_PER_SECOND, Math.floor(seconds) * TOKENS_PER_SECOND),
        ...generate,
        signal: options.signal,
      });
      return { text: this.#tokenizer.decode(sequences[0] as number[]).trim(), pieces: null };
    } finally {
      input.dispose();
    }
  }

  /** Pads samples to whole frames, because Moonshine Streaming reads pieces of 5 ms. */
  #padded(samples: Float32Array): Float32Array {
    const { encoder_config: encoder } = this.model.config as { encoder_config?: Record<string, number> };
    if (!(this.model instanceof SoundSeq2SeqModel) || !encoder) return samples;
    const frame = Math.round(((encoder.sample_rate as number) * (encoder.frame_ms as number)) / 1000);
    if (samples.length % frame === 0) return samples;
    const padded = new Float32Array(frame * Math.ceil(samples.length / frame));
    padded.set(samples);
    return padded;
  }

  async #transduce(samples: Float32Array): Promise<PartTranscript> {
    const model = this.model as unknown as ParakeetTransducer;
    const input = await inferenceAsync(model, () => inputOf(model, this.#extractor, samples));
    try {
      const [text] = await model.transcribe({ inputFeatures: input });
      const pieces: Piece[] = [];
      let frame = 0;
      for (const [i, id] of (text?.sequence ?? []).entries()) {
        const duration = text?.durations[i] as number;
        if (i > 0 && id !== model.startId) pieces.push({ id, start: frame, end: frame + duration });
        frame += duration;
      }
      return { text: this.#tokenizer.decode(pieces.map(({ id }) => id)).trim(), pieces };
    } finally {
      input.dispose();
    }
  }

  /** Returns the part as one chunk, or its words. */
  #chunksOf({ text, pieces }: PartTranscript, start: number, end: number, words: boolean): TranscriptChunk[] {
    const { samplingRate, step } = this.#extractor;
    const seconds = (sample: number) => Math.round((sample / samplingRate) * 100) / 100;
    if (!words || pieces === null) return [{ text, timestamp: [seconds(start), seconds(end)] }];
    const groups: Piece[][] = [];
    for (const piece of pieces) {
      const isFirst = this.#tokenizer.idToToken(piece.id)?.startsWith('▁') ?? false;
      if (isFirst || groups.length === 0) groups.push([]);
      groups.at(-1)?.push(piece);
    }
    return groups.map((group) => ({
      text: this.#tokenizer.decode(group.map(({ id }) => id)).trim(),
      timestamp: [
        seconds(start + (group[0] as Piece).start * step),
        seconds(Math.min(end, start + (group.at(-1) as Piece).end * step)),
      ],
    }));
  }
}
