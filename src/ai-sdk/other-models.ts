// Models that embed, rank, transcribe and speak.

import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  RerankingModelV4,
  RerankingModelV4CallOptions,
  RerankingModelV4Result,
  SharedV4Warning,
  SpeechModelV4,
  SpeechModelV4CallOptions,
  SpeechModelV4Result,
  TranscriptionModelV4,
  TranscriptionModelV4CallOptions,
  TranscriptionModelV4Result,
} from '@ai-sdk/provider';
import { bytesOf } from '../frameworks/base64.js';
import { countTokens, type EmbedOptions, embed } from '../frameworks/embed.js';
import { type LocalModels, type ModelId, nameOf } from '../frameworks/local-models.js';
import { decodeAudio } from '../pretrained/index.js';
import type { SpeechRecognitionOptions, TextToSpeechOptions, TranscriptChunk } from '../tasks/index.js';
import { PROVIDER } from './call-options.js';

abstract class SimdformerModel {
  readonly specificationVersion = 'v4';
  readonly provider = PROVIDER;
  readonly modelId: string;

  constructor(
    protected readonly models: LocalModels,
    protected readonly id: ModelId,
  ) {
    this.modelId = nameOf(id);
  }
}

/**
 * `providerOptions.simdformer` of embedding models. `task` selects the model's prompt for queries ('query') or for
 * documents ('document').
 */
export type SimdformerEmbeddingOptions = Pick<EmbedOptions, 'task' | 'prompt' | 'promptName'>;

export class SimdformerEmbeddingModel extends SimdformerModel implements EmbeddingModelV4 {
  readonly maxEmbeddingsPerCall = Number.POSITIVE_INFINITY;
  readonly supportsParallelCalls = true;

  async doEmbed(options: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result> {
    const { values, dimensions, abortSignal: signal, providerOptions } = options;
    signal?.throwIfAborted();
    const { task, prompt, promptName } = (providerOptions?.[PROVIDER] ?? {}) as SimdformerEmbeddingOptions;
    const extract = await this.models.pipeline('feature-extraction', this.id);
    const embeddings = await embed(extract, values, { task, prompt, promptName, dimensions, signal });
    return { embeddings, usage: { tokens: await countTokens(extract, values) }, warnings: [] };
  }
}

export class SimdformerRerankingModel extends SimdformerModel implements RerankingModelV4 {
  /** Ranks documents. Documents that are objects are converted to JSON. */
  async doRerank(options: RerankingModelV4CallOptions): Promise<RerankingModelV4Result> {
    const { documents, query, topN, abortSignal } = options;
    abortSignal?.throwIfAborted();
    const rank = await this.models.pipeline('text-ranking', this.id);
    const texts =
      documents.type === 'text' ? documents.values : documents.values.map((document) => JSON.stringify(document));
    const ranked = await rank(query, texts, { top_k: topN, signal: abortSignal });
    const ranking = ranked.map(({ corpus_id: index, score }) => ({ index, relevanceScore: score }));
    return { ranking, warnings: [], response: { timestamp: new Date(), modelId: this.modelId } };
  }
}

/** `providerOptions.simdformer` of transcription models: options of `pipeline('automatic-speech-recognition')`. */
export type SimdformerTranscriptionOptions = Omit<
  SpeechRecognitionOptions,
  'signal' | 'onProgress' | 'onText' | 'batchSize' | 'return_timestamps' | 'return_language'
>;

export class SimdformerTranscriptionModel extends SimdformerModel implements TranscriptionModelV4 {
  /**
   * Transcribes files that `decodeAudio` reads. The result has `words` if word times are requested, otherwise
   * `segments`.
   */
  async doGenerate(options: TranscriptionModelV4CallOptions): Promise<TranscriptionModelV4Result> {
    const { audio, timestampGranularities = [], abortSignal, providerOptions } = options;
    abortSignal?.throwIfAborted();
    const recording = await decodeAudio(bytesOf(audio), undefined, abortSignal);
    const recognize = await this.models.pipeline('automatic-speech-recognition', this.id);
    // CTC models give times of words, but no segments.
    const hasWords = timestampGranularities.includes('word') || recognize.model.headKind === 'ctc';
    const providerSettings = (providerOptions?.[PROVIDER] ?? {}) as SimdformerTranscriptionOptions;
    const { text, chunks = [] } = await recognize(recording, {
      ...providerSettings,
      return_timestamps: hasWords ? 'word' : true,
      signal: abortSignal,
    });
    const duration = (recording.channels[0]?.length ?? 0) / recording.samplingRate;
    const timed = chunks.map((chunk) => timesOf(chunk, duration));
    return {
      text: text.trim(),
      segments: hasWords ? [] : timed,
      ...(hasWords ? { words: timed } : {}),
      language: providerSettings.language ?? undefined,
      durationInSeconds: duration,
      warnings: [],
      response: { timestamp: new Date(), modelId: this.modelId },
    };
  }
}

/** Returns the times of a chunk. If its end is unknown, the chunk ends with the recording. */
function timesOf({ text, timestamp }: TranscriptChunk, duration: number) {
  const [start, end] = timestamp ?? [0, null];
  return { text: text.trim(), startSecond: start ?? 0, endSecond: end ?? duration };
}

/** `providerOptions.simdformer` of speech models: options of `pipeline('text-to-speech')`. */
export type SimdformerSpeechOptions = Omit<TextToSpeechOptions, 'signal' | 'onProgress' | 'batchSize'>;

export class SimdformerSpeechModel extends SimdformerModel implements SpeechModelV4 {
  /** Speaks a text as a WAV file. `voice` is the number of a speaker. Other settings of the AI SDK give warnings. */
  async doGenerate(options: SpeechModelV4CallOptions): Promise<SpeechModelV4Result> {
    const {
      text,
      voice,
      outputFormat = 'wav',
      instructions,
      speed = 1,
      language,
      abortSignal,
      providerOptions,
    } = options;
    abortSignal?.throwIfAborted();
    const speak = await this.models.pipeline('text-to-speech', this.id);
    const { model_type: type, num_speakers: speakers = 1, speaking_rate: rate = 1 } = speak.model.config;
    const hasRate = type === 'vits';
    const speaker =
      voice !== undefined && /^\d+$/.test(voice) && Number(voice) < Number(speakers) ? Number(voice) : null;
    const unsupported: readonly (readonly [isGiven: boolean, feature: string, details: string])[] = [
      [outputFormat !== 'wav', 'outputFormat', 'Speech is a WAV file.'],
      [instructions !== undefined, 'instructions', 'The model reads no instructions.'],
      [language !== undefined && language !== 'auto', 'language', 'The model has one language.'],
      [speed !== 1 && !hasRate, 'speed', 'The model has one speed.'],
      [voice !== undefined && speaker === null, 'voice', `Voices are numbers, and the model has ${speakers}.`],
    ];
    const sound = await speak(text, {
      ...(speaker === null || Number(speakers) === 1 ? {} : { speaker_id: speaker }),
      ...(hasRate ? { speaking_rate: Number(rate) * speed } : {}),
      ...((providerOptions?.[PROVIDER] ?? {}) as SimdformerSpeechOptions),
      signal: abortSignal,
    });
    return {
      audio: sound.toWav(),
      warnings: unsupported.flatMap(([isGiven, feature, details]): SharedV4Warning[] =>
        isGiven ? [{ type: 'unsupported', feature, details }] : [],
      ),
      response: { timestamp: new Date(), modelId: this.modelId },
    };
  }
}
