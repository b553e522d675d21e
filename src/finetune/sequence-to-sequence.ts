// The objective of encoder–decoders: a text is generated from another one.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ModelInputs } from '../models/inputs.js';
import { type EncodedText, encodeText, inputsOf } from './encoded.js';
import { ModelObjective } from './model-objective.js';

export interface Seq2SeqRow {
  readonly source: string;
  readonly target: string;
}

/** A row as ids. */
export interface EncodedPair {
  readonly source: EncodedText;
  readonly labels: readonly number[];
}

/** Trains an encoder–decoder to generate targets from sources. Rows are `{ source, target }`. */
export class SequenceToSequence extends ModelObjective<Seq2SeqRow, EncodedPair> {
  protected override encode({ source, target }: Seq2SeqRow): EncodedPair {
    if (typeof source !== 'string' || typeof target !== 'string')
      throw new ArgumentError(`fit: an example is ${describeValue({ source, target })}, expected source and target`);
    const text = (value: string) => encodeText(this.model, value, undefined, this.maxLength);
    return { source: text(source), labels: text(target).inputIds };
  }

  override inputs(examples: readonly EncodedPair[]): ModelInputs {
    const sources = inputsOf(examples.map(({ source }) => source));
    return { ...sources, labels: examples.map(({ labels }) => [...labels]) };
  }

  protected override lengthOf({ source, labels }: EncodedPair): number {
    return source.inputIds.length + labels.length;
  }

  protected override weight(examples: readonly EncodedPair[]): number {
    return examples.reduce((sum, { labels }) => sum + labels.length, 0);
  }
}
