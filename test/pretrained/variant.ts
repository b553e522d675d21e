// The tiny models of variants.json: their weights come from a formula.
import { expect } from 'vitest';
import type { Device } from '../../src/index.js';
import { type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import recorded from './variants.json' with { type: 'json' };

export type Nested = readonly number[] | readonly Nested[];
/** An input whose numbers come from the formula: fractions, or classes. With `counts`, a mask with so many ones in each row. */
export interface Made {
  readonly shape: readonly number[];
  readonly classes?: number;
  readonly counts?: readonly number[];
}

/** Objects of an image. */
export type Objects = readonly { readonly class_labels: number[]; readonly boxes: number[][] }[];

export interface Written {
  /** Empty for the first image, of which no token is written twice. */
  readonly prompt: number[];
  readonly ids: number[];
  readonly logProbabilities: number[];
}

export interface Variant {
  readonly name: string;
  readonly config: object;
  readonly shapes: Readonly<Record<string, number[]>>;
  readonly inputs: Readonly<Record<string, Nested | Made | Objects>>;
  readonly results: Readonly<Record<string, number[]>>;
  readonly gradients?: Readonly<Record<string, number>>;
  readonly written?: readonly Written[];
  /** An adapter of PEFT with r = 2 and alpha = 4, and the logits with it. */
  readonly adapter?: {
    readonly modules: string[];
    readonly shapes: Readonly<Record<string, number[]>>;
    readonly logits: number[];
  };
}

export const variants = recorded as unknown as Variant[];

export const areObjects = (rows: Nested | Objects): rows is Objects => typeof (rows as Objects)[0]?.boxes === 'object';

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** The numbers of the tensor at `index` of the names in order. */
export function weights(index: number, count: number): Float32Array {
  let state = index * 7919 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) / 65536 - 0.5;
  });
}

/** Same, for a parameter of this name: variances are positive. */
function weightsOf(name: string, index: number, count: number): Float32Array {
  const values = weights(index, count);
  return name.endsWith('running_var') ? values.map((value) => value + 1) : values;
}

/** A safetensors file whose tensors have the numbers of the formula. */
export function weightsFile(shapes: Variant['shapes']): Uint8Array {
  const entries = Object.entries(shapes).map(([name, shape], i): [string, SafetensorsArray] => [
    name,
    { dtype: 'F32', shape, data: weightsOf(name, i, sizeOf(shape)) },
  ]);
  return serializeSafetensors(new Map(entries));
}

export async function loadVariant(device: Device, { config, shapes }: Variant): Promise<PretrainedModel> {
  const warnings: string[] = [];
  const files = {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': weightsFile(shapes),
  };
  const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  return model;
}
