import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { SpeechT5 } from '../models/families/speecht5.js';
import type { SpeechT5HifiGan } from '../models/families/speecht5-hifigan.js';
import type { Vits } from '../models/families/vits.js';
import { type LoadedModel, loadModel } from '../pretrained/load-later.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { callOptionKinds } from './batches.js';
import { bytesOf, isMediaFile, type MediaFile } from './media-source.js';
import { type CallOptions, NO_INPUT_IDS, type Task, type TaskContext } from './task.js';
import { RawAudio } from './transformers/raw-audio.js';

export interface TextToSpeechOptions extends CallOptions {
  /** Speaker embedding for SpeechT5: numbers, or a file of float32 numbers, as in transformers.js. */
  speaker_embeddings?: Float32Array | Tensor | MediaFile | undefined;
  /** A folder or hub id of SpeechT5's vocoder. Default: `microsoft/speecht5_hifigan`. */
  vocoder?: string | undefined;
  /** Index of the voice, for VITS models with several speakers. */
  speaker_id?: number | undefined;
  /** Factor of the speed, for VITS; 2 is twice as fast. Default: that of config.json. */
  speaking_rate?: number | undefined;
  /** Seed of the noise that varies speech. Equal seeds give equal sound. Default: 0. */
  seed?: number | undefined;
}

/**
 * Speaks a text; an array of texts gives an array of sounds. Rejects with ArgumentError for invalid options and texts
 * without a letter that the model knows, and the reason of `signal`.
 */
export interface TextToSpeech {
  (text: string, options?: TextToSpeechOptions): Promise<RawAudio>;
  (texts: readonly string[], options?: TextToSpeechOptions): Promise<RawAudio[]>;
}

const TASK = 'text-to-speech';
/** The vocoder of SpeechT5's published models. */
export const VOCODER = 'microsoft/speecht5_hifigan';
/** SpeechT5HifiGan's `model_type`: since transformers 5 files say `speecht5_hifigan`. */
const VOCODERS: readonly string[] = ['hifigan', 'speecht5_hifigan'];

const isVoice = (value: unknown) => value instanceof Tensor || value instanceof Float32Array || isMediaFile(value);

const kinds = {
  speaker_embeddings: { accepts: isVoice, expected: 'a Float32Array, a tensor, or a file of float32' },
  vocoder: 'string',
  speaker_id: 'whole',
  speaking_rate: 'positive',
  seed: 'whole',
  ...callOptionKinds,
} as const;

/** Speaks ids of tokens. */
type Speak = (ids: number[], options: TextToSpeechOptions) => Promise<RawAudio>;

export const textToSpeech: Task<TextToSpeech> = {
  needs: NO_INPUT_IDS,
  create: ({ model }: TaskContext) => {
    const { tokenizer, config } = model;
    const speak = speakerOf(model);
    if (tokenizer === null) throw new FormatError(`${TASK}: ${missingTokenizer(config)}`);
    async function call(input: string | readonly string[], options: TextToSpeechOptions = {}) {
      checkOptions(TASK, options, kinds);
      const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
      const results: RawAudio[] = [];
      for (const text of texts) {
        options.signal?.throwIfAborted();
        results.push(await speak(idsOf(tokenizer as PretrainedTokenizer, text), options));
        options.onProgress?.({ done: results.length, total: texts.length });
      }
      return Array.isArray(input) ? results : (results[0] as RawAudio);
    }
    return call as TextToSpeech;
  },
};

function missingTokenizer({ model_type: type }: LoadedModel['config']): string {
  return type === 'vits'
    ? "the model's folder has no tokenizer.json, or the model reads phonemes, which need another program"
    : "the model's folder has no tokenizer.json: write one with Python's transformers";
}

function idsOf(tokenizer: PretrainedTokenizer, text: unknown): number[] {
  if (typeof text !== 'string')
    throw new ArgumentError(`${TASK}: the text is ${describeValue(text)}, expected a string`);
  const settings = tokenizer.config as Readonly<Record<string, unknown>> | null;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range of ASCII
  if (settings?.is_uroman === true && /[^\x00-\x7f]/.test(text))
    throw new ArgumentError(`${TASK}: the model reads only Latin letters: romanize the text first (uroman)`);
  const ids = Array.from(tokenizer.encode(text));
  if (ids.length > 0) return ids;
  throw new ArgumentError(`${TASK}: the text ${describeValue(text)} has no letter that the model knows`);
}

/** Throws FormatError for a model that does not speak. */
function speakerOf(model: LoadedModel): Speak {
  const { model_type: type, sampling_rate: rate } = model.config;
  if (type === 'vits') {
    const vits = model as unknown as Vits;
    return async (ids, options) => {
      refuse(options, ['speaker_embeddings', 'vocoder'], 'VITS');
      const { speaker_id: speakerId, speaking_rate: speakingRate, seed } = options;
      const [audio] = await vits.speak([ids], { speakerId, speakingRate, seed });
      return new RawAudio(audio as Float32Array, rate as number);
    };
  }
  if (type !== 'speecht5') throw new FormatError(`${TASK}: the model is ${type}, expected one of vits, speecht5`);
  const speecht5 = model as unknown as SpeechT5;
  const vocoders = new Map<string, Promise<SpeechT5HifiGan>>();
  const vocoderOf = (id: string, signal?: AbortSignal) => {
    const found = vocoders.get(id) ?? loadVocoder(model, id, signal);
    vocoders.set(id, found);
    found.catch(() => vocoders.delete(id));
    return found;
  };
  return async (ids, options) => {
    refuse(options, ['speaker_id', 'speaking_rate'], 'SpeechT5');
    const speakerEmbeddings = await voiceOf(options);
    const vocoder = await vocoderOf(options.vocoder ?? VOCODER, options.signal);
    const spectrogram = await speecht5.speak(ids, { speakerEmbeddings, seed: options.seed });
    return new RawAudio(await vocoder.speak(spectrogram), vocoder.samplingRate);
  };
}

function refuse(options: TextToSpeechOptions, names: readonly (keyof TextToSpeechOptions)[], family: string): void {
  const unsupported = names.find((name) => options[name] !== undefined);
  if (unsupported !== undefined)
    throw new ArgumentError(`${TASK}: ${unsupported} is given, but ${family} does not use it`);
}

async function loadVocoder({ device }: LoadedModel, id: string, signal?: AbortSignal): Promise<SpeechT5HifiGan> {
  const vocoder = await loadModel(device, id, { signal });
  const type = vocoder.config.model_type as string;
  if (VOCODERS.includes(type)) return vocoder as unknown as SpeechT5HifiGan;
  vocoder.dispose();
  throw new FormatError(`${TASK}: the vocoder ${id} is ${type}, expected SpeechT5HifiGan`);
}

async function voiceOf({
  speaker_embeddings: embeddings,
  signal,
}: TextToSpeechOptions): Promise<Float32Array | Tensor> {
  if (embeddings instanceof Tensor || embeddings instanceof Float32Array) return embeddings;
  if (!isMediaFile(embeddings))
    throw new ArgumentError(
      `${TASK}: speaker_embeddings is ${describeValue(embeddings)}, expected a Float32Array, a tensor, or a file of float32`,
    );
  const bytes = await bytesOf(TASK, embeddings, signal);
  if (bytes.length === 0 || bytes.length % 4 !== 0)
    throw new ArgumentError(`${TASK}: speaker_embeddings has ${bytes.length} bytes, expected float32 numbers`);
  return new Float32Array(bytes.slice().buffer);
}
