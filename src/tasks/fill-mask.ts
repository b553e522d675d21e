import { checkOptions, describeValue, isObject } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import { gather } from '../ops/move.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { callOptionKinds, inBatches } from './batches.js';
import { largest, softmax } from './scores.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import {
  checkFits,
  type EncodedRows,
  encode,
  inputsOf,
  readRows,
  type TruncationOptions,
  textsOf,
  tokenizerOf,
} from './text-inputs.js';

export interface FillMaskOptions extends CallOptions, TruncationOptions {
  /** Number of tokens returned for a mask. Default: 5. */
  top_k?: number | undefined;
  /**
   * Candidates, each given by its text. If a text is not a single token, its first token counts. Default: all tokens.
   */
  targets?: string | readonly string[] | undefined;
}

export interface FilledMask {
  /** The probability of the token. */
  readonly score: number;
  readonly token: number;
  readonly token_str: string;
  /** The text with the token in place of the mask. */
  readonly sequence: string;
}

/**
 * Predicts words for the mask token in a text, best first. A text with several masks gives an array per mask. Each mask
 * is filled separately. `sequence` then contains special tokens, so that the other masks are visible.
 */
export type FillMask = <Texts extends string | readonly string[]>(
  texts: Texts,
  options?: FillMaskOptions,
) => Promise<Texts extends string ? FilledMask[] : FilledMask[][]>;

const TASK = 'fill-mask';

export const fillMask: Task<FillMask> = {
  head: 'masked-language-model',
  create(context) {
    const mask = specialToken(tokenizerOf(context), 'mask_token', ['[MASK]', '<mask>']);
    if (mask === undefined) throw new FormatError(`${TASK}: the tokenizer has no mask_token`);
    const call = async (texts: string | readonly string[], options: FillMaskOptions = {}) => {
      const kinds = { top_k: 'count', targets: 'any', truncate: 'boolean', ...callOptionKinds } as const;
      const { top_k: count = 5, targets } = checkOptions(TASK, options, kinds);
      const among = targets === undefined ? null : targetIds(context, textsOf(TASK, targets, 'targets'));
      const run = async (batch: readonly string[]) => {
        const encoded = await encode(context, batch);
        const masks = encoded.inputIds.map((ids, i) => {
          const positions = ids.flatMap((id, position) => (id === mask.id ? [position] : []));
          if (positions.length > 0) return positions;
          throw new ArgumentError(
            `${TASK}: ${describeValue(batch[i])} has no ${mask.token} among the tokens that are read`,
          );
        });
        const logits = (await logitsAt(context, encoded, mask.id)).values();
        const results: (FilledMask[] | FilledMask[][])[] = [];
        for (const [i, positions] of masks.entries()) {
          const ids = encoded.inputIds[i] as number[];
          const filled: FilledMask[][] = [];
          for (const position of positions) {
            await yieldToEventLoop(); // each mask takes several milliseconds
            const found = likeliest(logits.next().value as Float32Array, among, count);
            filled.push(
              found.map((candidate) => describe(context, ids, { position, ...candidate }, positions.length === 1)),
            );
          }
          results.push(positions.length === 1 ? (filled[0] as FilledMask[]) : filled);
        }
        return results;
      };
      const list = textsOf(TASK, texts);
      await checkFits(
        context,
        list.map((text) => [text]),
        options,
      );
      const results = await inBatches(list, (text) => text.length, run, options);
      return typeof texts === 'string' ? results[0] : results;
    };
    return call as FillMask;
  },
};

/** Returns the logits at the tokens with this id, in order. Other logits, which take megabytes, stay on the device. */
async function logitsAt({ model }: TaskContext, rows: EncodedRows, id: number): Promise<Float32Array[]> {
  const [logits] = (await readRows(model, rows, function* (part) {
    const indices = part.inputIds.flat().flatMap((token, index) => (token === id ? [index] : []));
    const { logits } = yield* model.forwardInParts(inputsOf(model, part));
    return [gather(logits as Tensor, model.device.tensor(Int32Array.from(indices)))];
  })) as [Float32Array];
  const count = rows.inputIds.flat().filter((token) => token === id).length;
  const size = logits.length / count;
  return Array.from({ length: count }, (_, i) => logits.subarray(i * size, (i + 1) * size));
}

function likeliest(logits: Float32Array, among: readonly number[] | null, count: number) {
  const scores = softmax(logits);
  const tokens = among ?? [...scores.keys()];
  const best = largest(
    tokens.map((token) => scores[token] as number),
    count,
  );
  return best.map((index) => {
    const token = tokens[index] as number;
    return { token, score: scores[token] as number };
  });
}

function describe(
  context: TaskContext,
  ids: readonly number[],
  { position, token, score }: { position: number; token: number; score: number },
  skipSpecial: boolean,
): FilledMask {
  const tokenizer = tokenizerOf(context);
  const sequence = tokenizer.decode(ids.with(position, token), { skipSpecial });
  return { score, token, token_str: tokenizer.decode([token], { skipSpecial: false }), sequence };
}

function targetIds(context: TaskContext, targets: readonly string[]): number[] {
  const tokenizer = tokenizerOf(context);
  const ids = targets.map((target) => {
    const id = tokenizer.tokenToId(target) ?? tokenizer.encode(target)[0];
    if (id === undefined) throw new ArgumentError(`${TASK}: a target is ${describeValue(target)}, which has no tokens`);
    return id;
  });
  return [...new Set(ids)];
}

/**
 * Returns a special token of a tokenizer: that of its configuration under `name`, or the first of `usual` that it has.
 * Undefined if there is none.
 */
function specialToken(
  tokenizer: PretrainedTokenizer,
  name: string,
  usual: readonly string[],
): { readonly token: string; readonly id: number } | undefined {
  const configured = tokenizer.config?.[name];
  const named = isObject(configured) ? configured.content : configured;
  for (const token of typeof named === 'string' ? [named] : usual) {
    const id = tokenizer.tokenToId(token);
    if (id !== undefined) return { token, id };
  }
  return undefined;
}
