// Models that embed, rank and transcribe.

import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  RerankingModelV4,
  RerankingModelV4CallOptions,
  RerankingModelV4Result,
  TranscriptionModelV4,
  TranscriptionModelV4CallOptions,
  TranscriptionModelV4Result,
} from '@ai-sdk/provider';
import { countTokens, type EmbedOptions, embed } from '../frameworks/embed.js';
import { type LocalModels, type ModelId, nameOf } from '../frameworks/local-models.js';
import { decodeAudio } from '../pretrained/index.js';
import type { SpeechRecognitionOptions, TranscriptChunk } from '../tasks/index.js';
import { PROVIDER } from './call-options.js';
import { bytesOf } from './prompt.js';

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
