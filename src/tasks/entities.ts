// Combines classes of tokens to entities, by the prefixes of labels. B- begins an entity, I- continues it, E- ends it,
// and S- is an entity of one token.

import { argmax } from '../core/argmax.js';
import { labelsOf } from '../models/labels.js';
import type { TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';

export const aggregationStrategies = ['none', 'simple', 'first', 'average', 'max'] as const;
export type AggregationStrategy = (typeof aggregationStrategies)[number];

/** A token with the probabilities of its classes. */
export interface TokenScores {
  readonly id: number;
  /** Index of the token in the text. */
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly scores: readonly number[];
  /** True if the token belongs to the same word as the one before it. */
  readonly continuesWord: boolean;
  /** True if the token represents unknown text. */
  readonly isUnknown: boolean;
}

/** A text, or a part of it, as a model read it. */
export interface ClassifiedText {
  /** Characters of the whole text. */
  readonly characters: readonly string[];
  readonly tokens: readonly TokenScores[];
}

/** The class of a token. */
export interface TokenEntity {
  readonly entity: string;
  readonly score: number;
  readonly index: number;
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** Adjacent tokens that are one entity. */
export interface EntityGroup {
  readonly entity_group: string;
  /** Mean score of its tokens, or of its words. */
  readonly score: number;
  readonly word: string;
  readonly start: number;
  readonly end: number;
}

/** Tokens that have one class together. */
interface Classified {
  readonly entity: string;
  readonly score: number;
  readonly tokens: readonly TokenScores[];
}

/** Returns the class of each token separately. */
export function entitiesOf(context: TaskContext, { characters, tokens }: ClassifiedText): TokenEntity[] {
  const labels = labelsOf(context.model.config);
  return tokens.map((token) => {
    const best = argmax(token.scores);
    const [entity, score] = [labels[best] as string, token.scores[best] as number];
    return { entity, score, index: token.index, ...wordOf(context, characters, [token]) };
  });
}

/** Returns the entities, from classes of tokens or of words. */
export function groupsOf(
  context: TaskContext,
  { characters, tokens }: ClassifiedText,
  strategy: Exclude<AggregationStrategy, 'none'>,
): EntityGroup[] {
  const words = strategy === 'simple' ? tokens.map((token) => [token]) : wordsOf(tokens);
  const groups: Classified[][] = [];
  let open: string | null = null;
  for (const word of words) {
    const classified = classify(context, word, strategy);
    const [prefix, kind] = tagOf(classified.entity);
    if (open === kind && prefix !== 'B' && prefix !== 'S') {
      groups.at(-1)?.push(classified);
      if (prefix === 'E') open = null;
    } else {
      groups.push([classified]);
      open = prefix === 'S' ? null : kind;
    }
  }
  return groups.map((group) => ({
    entity_group: tagOf((group[0] as Classified).entity)[1],
    score: group.reduce((sum, { score }) => sum + score, 0) / group.length,
    ...wordOf(
      context,
      characters,
      group.flatMap(({ tokens }) => tokens),
    ),
  }));
}

/** Among overlapping entities from different parts of a text, keeps the longest, then the most probable. */
export function longestOfOverlapping(groups: readonly EntityGroup[]): EntityGroup[] {
  const kept: EntityGroup[] = [];
  for (const group of [...groups].sort((a, b) => a.start - b.start)) {
    const last = kept.at(-1);
    if (last === undefined || group.start >= last.end) kept.push(group);
    else {
      const longer = group.end - group.start - (last.end - last.start);
      if (longer > 0 || (longer === 0 && group.score > last.score)) kept[kept.length - 1] = group;
    }
  }
  return kept;
}

function wordsOf(tokens: readonly TokenScores[]): TokenScores[][] {
  const words: TokenScores[][] = [];
  for (const token of tokens) {
    if (token.continuesWord && words.length > 0) words.at(-1)?.push(token);
    else words.push([token]);
  }
  return words;
}

function classify(context: TaskContext, word: readonly TokenScores[], strategy: AggregationStrategy): Classified {
  const scores = scoresOf(word, strategy);
  const best = argmax(scores);
  return { entity: labelsOf(context.model.config)[best] as string, score: scores[best] as number, tokens: word };
}

function scoresOf(word: readonly TokenScores[], strategy: AggregationStrategy): readonly number[] {
  const all = word.map(({ scores }) => scores) as [readonly number[], ...(readonly number[])[]];
  if (strategy === 'average')
    return all[0].map((_, i) => all.reduce((sum, scores) => sum + (scores[i] as number), 0) / all.length);
  if (strategy === 'max') return all[argmax(all.map((scores) => Math.max(...scores)))] as readonly number[];
  return all[0];
}

/** Returns the prefix of a label and the kind of entity. A label without a prefix counts as I-. */
function tagOf(label: string): [prefix: string, kind: string] {
  return /^[BIES]-/.test(label) ? [label.charAt(0), label.slice(2)] : ['I', label];
}

/**
 * Returns the decoded text of adjacent tokens, and its range. If it has unknown tokens, the given text is returned
 * instead.
 */
function wordOf(context: TaskContext, characters: readonly string[], tokens: readonly TokenScores[]) {
  const start = (tokens[0] as TokenScores).start;
  const end = (tokens.at(-1) as TokenScores).end;
  const word = tokens.some(({ isUnknown }) => isUnknown)
    ? characters.slice(start, end).join('')
    : tokenizerOf(context).decode(tokens.map(({ id }) => id));
  return { word, start, end };
}
