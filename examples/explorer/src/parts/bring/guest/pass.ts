// One forward pass of a model, with its hidden states.
import type { Tensor } from 'simdformer';
import type { Values } from 'simdformer/inspect';
import type { LoadedModel } from 'simdformer/pretrained';

/** Results of a pass over one text. */
export interface Pass {
  /** The input of each layer of the last stack, and the stack's output: [T, dModel] each. */
  readonly states: readonly Values[];
  /** [T, vocabulary], [T, labels], or [T, 2] for the beginning and end of an answer; no rows without a head for tokens. */
  readonly logits: Values;
  /** softmax(logits) */
  readonly probabilities: Values;
}

/** Runs a model on the ids of a text, and on those that its decoder reads if it also has an encoder. */
export async function passOf(model: LoadedModel, source: readonly number[], target?: readonly number[]): Promise<Pass> {
  const { device } = model;
  const inputs = { inputIds: [[...source]], ...(target ? { decoderInputIds: [[...target]] } : {}) };
  const reading = device.noGrad(() =>
    device.scope(() => {
      const { logits, startLogits, endLogits, ...output } = model.forward(inputs, { hiddenStates: true });
      const all = (target ? output.decoderHiddenStates : output.hiddenStates) ?? [];
      // Gemma 3n has several vectors for each token, [4, 1, T, dModel]. The first one is the prediction.
      const states = all.map((state) =>
        state.shape.length === 4 ? state.rows(0, 1).reshape(state.shape.slice(1)) : state,
      );
      const rows =
        logits?.shape.length === 3 ? [logits] : [startLogits, endLogits].filter((each) => each !== undefined);
      return { states: states.map(valuesOf), rows: rows.map(valuesOf) };
    }),
  );
  const [states, rows] = await Promise.all([Promise.all(reading.states), Promise.all(reading.rows)]);
  const logits = sideBySide(rows);
  return { states, logits, probabilities: softmaxed(logits) };
}

/** Values of a tensor [1, T, …], without the first dimension. */
async function valuesOf(tensor: Tensor): Promise<Values> {
  const shape = tensor.shape.slice(1);
  return { shape, data: (await tensor.data()) as Float32Array };
}

/** One matrix as it is; vectors become the columns of a matrix. */
function sideBySide(rows: readonly Values[]): Values {
  const [first, second] = rows;
  if (first === undefined) return { shape: [0, 0], data: new Float32Array() };
  if (second === undefined) return first;
  const data = new Float32Array(2 * first.data.length);
  for (const [i, value] of first.data.entries()) data.set([value, second.data[i] as number], 2 * i);
  return { shape: [first.data.length, 2], data };
}

/** The softmax of each row. */
export function softmaxed({ shape, data }: Values): Values {
  const width = shape.at(-1) as number;
  const result = new Float32Array(data.length);
  for (let from = 0; from < data.length; from += width) {
    const row = data.subarray(from, from + width);
    const most = row.reduce((a, b) => Math.max(a, b));
    const powers = row.map((value) => Math.exp(value - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    result.set(
      powers.map((power) => power / sum),
      from,
    );
  }
  return { shape, data: result };
}
