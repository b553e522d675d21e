import type { Model } from '../model.js';
import type { Lesson } from './lesson.js';

/** A model's output for a word, now and before. */
export interface Attempt {
  readonly word: string;
  /** The dictionary's entry; null for the person's own word. */
  readonly expected: string | null;
  readonly answers: readonly { readonly step: number; readonly text: string }[];
  readonly right: boolean;
}

export interface Measured {
  /** Fraction of test words with a wrong answer. */
  readonly wordError: number;
  readonly attempts: readonly Attempt[];
}

/** The word at the top of the page, as the model reads it. */
export interface OwnWord {
  readonly word: string;
  readonly ids: readonly number[];
}

/** Number of words that are shown one by one. */
const SHOWN = 8;

/** Lets a model answer all test words, and `own`. `before`: earlier attempts, which are kept. */
export async function measure(
  { transformer, source, target }: Model,
  lesson: Lesson,
  own: OwnWord | null,
  before: readonly Attempt[],
  step: number,
): Promise<Measured> {
  const words = lesson.test.map((pair) => pair.source);
  const asked = words.map((word) => source.encode(word));
  const { sequences } = await transformer.generate(own === null ? asked : [...asked, [...own.ids]], {
    batchSize: 128,
    maxNewTokens: Math.min(24, transformer.config.maxLength),
  });
  const texts = sequences.map((ids) => target.decode(ids));
  const isRight = (i: number) => lesson.answers.get(words[i] as string)?.has(texts[i] as string) ?? false;
  const wrong = words.filter((_, i) => !isRight(i)).length;
  const attempt = (word: string, expected: string | null, text: string, right: boolean): Attempt => {
    const earlier = before.find((other) => other.word === word)?.answers ?? [];
    const answers = earlier.at(-1)?.text === text ? earlier : [...earlier, { step, text }];
    return { word, expected, answers, right };
  };
  const shown = lesson.test
    .slice(0, SHOWN)
    .map(({ source, target }, i) => attempt(source, target, texts[i] as string, isRight(i)));
  const mine =
    own === null || shown.some(({ word }) => word === own.word)
      ? []
      : [attempt(own.word, null, texts.at(-1) as string, false)];
  return { wordError: wrong / words.length, attempts: [...mine, ...shown] };
}
