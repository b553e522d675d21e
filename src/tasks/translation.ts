import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Task, TaskContext } from './task.js';
import { type TaskParameters, taskParameters } from './task-parameters.js';
import { encode, textsOf } from './text-inputs.js';
import { rewrite, type TextToTextOptions, textToTextArguments, type WrittenScores } from './text-to-text.js';
import { languagesOf, type TranslationLanguages } from './translation-languages.js';

export interface TranslationOptions extends TextToTextOptions {
  /**
   * The language of the texts, by the model's name for it: `eng_Latn` in NLLB, `en` in M2M100 and T5, `en_XX` in mBART.
   * Default: that of the tokenizer, or of the task's name.
   */
  src_lang?: string | undefined;
  /** The language to translate to, by the model's name for it. Default: that of the task's name. */
  tgt_lang?: string | undefined;
}

export interface Translation extends Partial<WrittenScores> {
  readonly translation_text: string;
}

/**
 * Returns the translation of each text, as an array even for one text. The `num_return_sequences` translations of a
 * text are consecutive.
 */
export type Translate = (texts: string | readonly string[], options?: TranslationOptions) => Promise<Translation[]>;

const TASK = 'translation';

export const translation: Task<Translate> = {
  head: 'language-model',
  needs: { stacks: 'encoder-decoder' },
  create: (context) => {
    const [, named, into] = /^translation_(\w+?)_to_(\w+)$/.exec(context.task) ?? [];
    const languages = languagesOf(context);
    return async (texts, options = {}) => {
      const generate = textToTextArguments(context, options, ['src_lang', 'tgt_lang']);
      const { src_lang, tgt_lang } = options;
      checkOptions(TASK, { src_lang, tgt_lang }, { src_lang: 'string', tgt_lang: 'string' });
      const how = languages
        ? multilingual(context, languages, src_lang ?? named, tgt_lang ?? into)
        : ofPair(context, options, src_lang ?? named, tgt_lang ?? into);
      const written = await rewrite(context, textsOf(TASK, texts), how, generate, options);
      return written.map(({ text, scores }) => ({ translation_text: text, ...scores }));
    };
  },
};

const NOTHING: TaskParameters = { prefix: '', generate: {} };

/** Translates with a model that reads both languages as tokens. */
function multilingual(context: TaskContext, languages: TranslationLanguages, from?: string, to?: string) {
  const source = from === undefined ? null : languages.id('src_lang', from);
  const forced = to === undefined ? context.model.generationConfig.forcedBosTokenId : languages.id('tgt_lang', to);
  if (forced == null)
    throw new ArgumentError(`${TASK}: tgt_lang is missing, expected one of ${languages.known().join(', ')}`);
  const read = async (texts: readonly string[]) => languages.mark(await encode(context, texts), source);
  return { encode: read, parameters: NOTHING, forced: { forcedBosTokenId: forced } };
}

/** Translates with a model for one pair of languages, or a model that reads the pair in a prefix. */
function ofPair(context: TaskContext, options: TranslationOptions, from?: string, to?: string) {
  const { model } = context;
  const names = from && to ? [`translation_${from}_to_${to}`] : [context.task];
  const target = to === undefined ? undefined : [`>>${to}<<`].find((token) => model.tokenizer?.tokenToId(token));
  const parameters = taskParameters(model, names) ?? (target ? { ...NOTHING, prefix: `${target} ` } : null);
  if (parameters === null && (options.src_lang ?? options.tgt_lang) !== undefined) {
    const known = Object.keys((model.config.task_specific_params as object | null | undefined) ?? {});
    const pairs = known.filter((name) => name.startsWith('translation_')).map((name) => name.slice(12));
    const has = pairs.length > 0 ? pairs.join(', ') : 'one pair of languages: leave src_lang and tgt_lang out';
    throw new ArgumentError(`${TASK}: src_lang is ${from} and tgt_lang ${to}, but the model has ${has}`);
  }
  const { prefix } = parameters ?? NOTHING;
  const read = async (texts: readonly string[]) => {
    const { inputIds } = await encode(
      context,
      texts.map((text) => prefix + text),
    );
    return inputIds;
  };
  return { encode: read, parameters: parameters ?? NOTHING, forced: {} };
}
