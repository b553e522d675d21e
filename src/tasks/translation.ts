import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Task, TaskContext } from './task.js';
import { type TaskParameters, taskParameters } from './task-parameters.js';
import { encode, textsOf } from './text-inputs.js';
import { rewrite, type TextToTextOptions, textToTextArguments, type WrittenScores } from './text-to-text.js';
import { languagesOf, type TranslationLanguages } from './translation-languages.js';

export interface TranslationOptions extends TextToTextOptions {
  /**
   * The language of the texts, as the model calls it: `eng_Latn` of NLLB, `en` of M2M100, `en_XX` of mBART, `en` of T5.
   * Default: what the tokenizer says, or the name of the task.
   */
  src_lang?: string | undefined;
  /** The language to write in. */
  tgt_lang?: string | undefined;
}

export interface Translation extends Partial<WrittenScores> {
  readonly translation_text: string;
}

/** The translation of each text; of one, too, it is an array. Of `num_return_sequences`, those of a text follow one another. */
export type Translate = (texts: string | readonly string[], options?: TranslationOptions) => Promise<Translation[]>;

const TASK = 'translation';

export const translation: Task<Translate> = {
  head: 'language-model',
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

/** A model that is told both languages by tokens. */
function multilingual(context: TaskContext, languages: TranslationLanguages, from?: string, to?: string) {
  const source = from === undefined ? null : languages.id('src_lang', from);
  const forced = to === undefined ? context.model.generationConfig.forcedBosTokenId : languages.id('tgt_lang', to);
  if (forced == null)
    throw new ArgumentError(`${TASK}: tgt_lang is missing, expected one of ${languages.known().join(', ')}`);
  const read = async (texts: readonly string[]) => languages.mark(await encode(context, texts), source);
  return { encode: read, parameters: NOTHING, forced: { forcedBosTokenId: forced } };
}

/** A model of one pair of languages, or one that a prefix tells which. */
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
