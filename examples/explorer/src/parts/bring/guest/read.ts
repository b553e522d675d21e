// Runs a guest model on a text: one pass, every value of it, and its predictions.
import { ArgumentError, type GenerateOptions } from 'simdformer';
import { type Trace, trace, type Values } from 'simdformer/inspect';
import type { Stack } from 'simdformer/nn';
import { argmax, max, softmax } from 'simdformer/ops';
import { Complaint } from '../../../model.js';
import { rowOf } from '../../../traced.js';
import { type Guess, type Guest, type Lens, MAX_TOKENS, MAX_WRITTEN, type Reading } from './guest.js';
import { type Pass, passOf } from './pass.js';

/** Number of guesses that are shown. */
const SHOWN = 8;

const greedy: GenerateOptions = { numBeams: 1, doSample: false };

/**
 * Runs the guest on a text. `hidden`: index of the token that the mask replaces; null: none. Throws Complaint for a
 * text that cannot be read.
 */
export async function read(guest: Guest, text: string, hidden: number | null): Promise<Reading> {
  const { model, mask } = guest;
  const all = idsOf(guest, text);
  const ids = all.slice(0, Math.min(MAX_TOKENS, model.maxLength));
  if (mask && hidden !== null && hidden < ids.length) ids[hidden] = mask.id;
  const written = model.encoder && model.decoder ? await write(guest, ids) : null;
  const reading = await readingOf(guest, ids, written?.read);
  return { ...reading, left: all.length - ids.length, written: written && guest.textOf(written.tokens) };
}

/** Runs the guest on tokens. `read`: the tokens that the decoder reads, if there is also an encoder. */
export async function readingOf(guest: Guest, ids: readonly number[], read?: readonly number[]): Promise<Reading> {
  const { model } = guest;
  const [source, target] = model.encoder ? [ids, read] : [null, ids];
  const traced = await traceIfCan(guest, source, target ?? undefined);
  const pass = traced ? ofTrace(traced) : await passOf(model, source ?? ids, source ? target : undefined);
  return {
    guest,
    trace: traced,
    states: pass.states,
    left: 0,
    written: null,
    source: source && guest.tokens(source),
    target: target ? guest.tokens(target) : null,
    guesses: (token) => guessesOf(guest, pass, token),
    labels: model.headKind === 'sequence-classification' ? await labelsOf(guest, ids) : null,
    lens: guest.predictsTokens ? await lensOf(guest, pass.states) : null,
  };
}

/** Tokens that a decoder continues with. */
export async function goOn(guest: Guest, text: string): Promise<string> {
  const ids = idsOf(guest, text);
  const { sequences } = await guest.model.generate([ids], { ...greedy, maxNewTokens: MAX_WRITTEN });
  const written = sequences[0] as number[];
  return guest.model.tokenizer ? guest.textOf([...ids, ...written]) : [...ids, ...written].join(' ');
}

/** Token ids of a text, or the numbers in it. Throws Complaint for a text that cannot be read. */
export function idsOf({ model, name }: Guest, text: string): number[] {
  const { tokenizer, vocabSize } = model;
  if (text.trim() === '') throw new Complaint('Type something for the model to read.');
  if (tokenizer !== null) {
    const ids = tokenizer.encode(text, { addSpecial: true });
    if (ids.length === 0) throw new Complaint(`“${name}” has no token for that.`);
    return ids;
  }
  return text
    .trim()
    .split(/[\s,]+/)
    .map((number) => {
      const id = Number(number);
      if (Number.isInteger(id) && id >= 0 && id < vocabSize) return id;
      throw new Complaint(
        `“${name}” has no tokenizer, so it reads token ids from 0 to ${vocabSize - 1}, not “${number}”.`,
      );
    });
}

/** Returns an encoder–decoder's answer, and the tokens that its decoder reads. */
async function write({ model }: Guest, ids: readonly number[]): Promise<{ tokens: number[]; read: number[] }> {
  const { sequences, finishReasons } = await model.generate([ids], { ...greedy, maxNewTokens: MAX_WRITTEN });
  const tokens = sequences[0] as number[];
  const read = [model.startId ?? (model.generationConfig.decoderStartTokenId as number), ...tokens];
  return { tokens, read: finishReasons[0] === 'stop' ? read : read.slice(0, -1) };
}

/** Returns null for a model whose layers `trace` cannot take apart. */
async function traceIfCan(
  { model }: Guest,
  source: readonly number[] | null,
  target?: readonly number[],
): Promise<Trace | null> {
  try {
    return await trace(model, source, target);
  } catch (error) {
    if (error instanceof ArgumentError) return null;
    throw error;
  }
}

function ofTrace({ encoder, decoder, logits, probabilities }: Trace): Pass {
  const { layers, output } = (decoder ?? encoder) as NonNullable<typeof encoder>;
  return { states: [...layers.map(({ input }) => input), output], logits, probabilities };
}

function guessesOf(guest: Guest, { logits, probabilities }: Pass, token: number): Guess[] {
  const { headKind } = guest.model;
  const row = rowOf(probabilities, token);
  switch (headKind) {
    case 'language-model':
    case 'masked-language-model':
    case 'token-classification':
      return best(row, (id) => guest.labelOf(id));
    case 'discriminator': {
      const replaced = 1 / (1 + Math.exp(-(rowOf(logits, token)[0] as number)));
      return [{ name: 'replaced', probability: replaced }];
    }
    case 'question-answering':
      return ['begins', 'ends'].map((name, side) => ({ name, probability: shareOf(logits, side, token) }));
    default:
      return [];
  }
}

/** Returns the probability that the answer begins (`side` 0) or ends (1) at a token. `logits`: [tokens, 2]. */
function shareOf({ data, shape }: Trace['logits'], side: number, token: number): number {
  const scores = Array.from({ length: shape[0] as number }, (_, i) => data[2 * i + side] as number);
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  return (powers[token] as number) / powers.reduce((a, b) => a + b);
}

export function best(row: Float32Array, nameOf: (id: number) => string): Guess[] {
  const ids = Array.from(row.keys());
  ids.sort((a, b) => (row[b] as number) - (row[a] as number));
  return ids.slice(0, SHOWN).map((id) => ({ name: nameOf(id), probability: row[id] as number }));
}

async function labelsOf(guest: Guest, ids: readonly number[]): Promise<Guess[]> {
  const { model, device } = guest;
  const several = model.config.problem_type === 'multi_label_classification';
  const { reading } = device.noGrad(() =>
    device.scope(() => ({ reading: (model.forward({ inputIds: [ids] }).logits as Readable).data() })),
  );
  const logits = (await reading) as Float32Array;
  const most = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.map((logit) => (several ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit - most)));
  const sum = several ? 1 : powers.reduce((a, b) => a + b, 0);
  return best(
    powers.map((power) => power / sum),
    (id) => guest.labelOf(id),
  );
}

interface Readable {
  data(): Promise<Float32Array | Int32Array>;
}

/** The prediction from each layer's output (nostalgebraist 2020, "the logit lens"). */
async function lensOf(guest: Guest, all: readonly Values[]): Promise<Lens | null> {
  const { model, device } = guest;
  const { norm = null, projection = null, exit = null } = ((model.decoder ?? model.encoder) as Stack | null) ?? {};
  const states = all.slice(1, -1);
  if (states.length === 0 || exit !== null) return null;
  const lens: Guess[][] = [];
  for (const { data, shape } of states) {
    const { reading } = device.noGrad(() =>
      device.scope(() => {
        const state = device.tensor(data, shape);
        const normed = norm?.forward(state) ?? state;
        const probabilities = softmax(model.logitsOf(projection?.forward(normed) ?? normed));
        const axis = { axis: -1 };
        return { reading: Promise.all([argmax(probabilities, axis).data(), max(probabilities, axis).data()]) };
      }),
    );
    const [ids, highest] = await reading;
    lens.push(Array.from(ids, (id, i) => ({ name: guest.nameOf(id), probability: highest[i] as number })));
  }
  return lens;
}
