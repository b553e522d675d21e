// The tokens before Whisper's text, as transformers.js chooses them.

import type { GenerateOptions } from '../../generate/generate-options.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import { timestampRules } from '../speech/timestamp-rules.js';
import { type SpeechTask, WhisperContext } from '../speech/whisper-context.js';

/** Options that only Whisper has. */
export interface WhisperOptions {
  /** For Whisper: the spoken language. Default: that of the model's files, or English. */
  language?: string | null | undefined;
  /** For Whisper: 'translate' translates to English. Default: 'transcribe'. */
  task?: SpeechTask | null | undefined;
  /** For Whisper: true to generate tokens of times, too. Default: false. */
  return_timestamps?: boolean | undefined;
}

/** Throws as `WhisperContext`. */
export function whisperStart(
  model: LoadedModel,
  { language, task, return_timestamps }: WhisperOptions,
): GenerateOptions {
  const whisper = new WhisperContext('generate', model);
  const code = whisper.languageOf(language);
  const prefix = whisper.prefix(code === null ? 'en' : code, task, return_timestamps ?? false);
  return {
    decoderStartTokenId: whisper.start,
    prefix,
    stopTokens: [whisper.tokens.end],
    ...(return_timestamps && { logitsProcessors: [timestampRules(whisper.tokens, () => prefix.length + 1)] }),
  };
}
