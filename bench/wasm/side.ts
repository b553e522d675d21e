// One side that bench/wasm.ts times: in Node, or in a page, which loads this file in a bundle.

import { createDevice, type Device, type Program, type Tensor } from '../../src/index.js';
import { linear } from '../../src/ops/index.js';
import type { Turn } from '../harness/contest.js';
import { type EncoderBatch, encoderSizes, makeEncoder, PERIOD, recordEncoder, stackOf } from '../harness/encoders.js';
import { pattern, patterned, recorded, sampleOf } from '../harness/ours.js';
import { encoderOnnx } from '../peers/encoder-onnx.js';
import { handTiledLoop } from './hand-tiled-loop.js';

/** The part of onnxruntime-web that is used. */
export interface OnnxRuntime {
  readonly env: { readonly wasm: { numThreads?: number; wasmPaths?: string } };
  readonly Tensor: new (
    type: 'float32',
    data: Float32Array,
    shape: readonly number[],
  ) => { readonly data: Float32Array };
  readonly InferenceSession: {
    create(onnx: Uint8Array, options: object): Promise<Session>;
  };
}

interface Session {
  run(inputs: { x: unknown }): Promise<{ y: { data: Float32Array } }>;
  release(): Promise<void>;
}

export interface LinearSizes {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
}

type Take = (repeats: number) => Turn | Promise<Turn>;

/** Contestants by name, in this process or in a page. They are made anew for every row. */
export interface Sides {
  /** `ours` and `onnxruntime-web`: the same encoder with the same weights, on one thread. Returns our instruction set. */
  encoder(size: keyof typeof encoderSizes, batch: EncoderBatch): Promise<string>;
  /** `1 thread` and `2 threads`: a linear layer. `hand-tiled loop`: as many operations in a loop that only multiplies and adds. */
  linear(sizes: LinearSizes): Promise<void>;
  take(name: string, repeats: number): Turn | Promise<Turn>;
  clear(): Promise<void>;
}

export class Side implements Sides {
  readonly #takes = new Map<string, Take>();
  readonly #cleanup: (() => unknown)[] = [];

  constructor(private readonly ort: OnnxRuntime) {
    ort.env.wasm.numThreads = 1;
  }

  async encoder(size: keyof typeof encoderSizes, batch: EncoderBatch): Promise<string> {
    await this.clear();
    const device = await this.#device(1);
    const sizes = encoderSizes[size];
    const model = makeEncoder(device, sizes);
    const { program } = recordEncoder(device, model, batch);
    this.#takes.set('ours', recorded(device, program).take);

    const session = await this.ort.InferenceSession.create(encoderOnnx(stackOf(model), sizes), {
      executionProviders: ['wasm'],
      graphOptimizationLevel: 'all',
    });
    this.#cleanup.push(() => session.release());
    const shape = [...batch, sizes.dModel];
    const x = new this.ort.Tensor('float32', pattern(batch[0] * batch[1] * sizes.dModel, PERIOD), shape);
    this.#takes.set('onnxruntime-web', async (repeats) => {
      let y: { data: Float32Array } | undefined;
      const start = performance.now();
      for (let i = 0; i < repeats; i++) ({ y } = await session.run({ x }));
      const seconds = (performance.now() - start) / 1e3 / repeats;
      return { seconds, sample: sampleOf((y as { data: Float32Array }).data) };
    });
    return device.info.isa;
  }

  async linear({ rows, inputs, outputs }: LinearSizes): Promise<void> {
    await this.clear();
    for (const threads of [1, 2]) {
      const device = await this.#device(threads);
      const [x, w, b] = [[rows, inputs], [inputs, outputs], [outputs]].map((shape) =>
        patterned(device, shape, PERIOD),
      ) as [Tensor, Tensor, Tensor];
      const program: Program<Tensor> = device.noGrad(() => device.record(() => linear(x, w, b)));
      this.#takes.set(`${threads} thread${threads > 1 ? 's' : ''}`, recorded(device, program).take);
    }
    const loop = await handTiledLoop();
    const flops = 2 * rows * inputs * outputs;
    this.#takes.set('hand-tiled loop', (repeats) => {
      const start = performance.now();
      const done = loop(flops * repeats);
      return { seconds: ((performance.now() - start) / 1e3) * (flops / done) };
    });
  }

  take(name: string, repeats: number): Turn | Promise<Turn> {
    return (this.#takes.get(name) as Take)(repeats);
  }

  async clear(): Promise<void> {
    this.#takes.clear();
    for (const end of this.#cleanup.splice(0)) await end();
  }

  async #device(threads: number): Promise<Device> {
    const device = await createDevice({ backend: 'wasm', threads });
    this.#cleanup.push(() => device.dispose());
    return device;
  }
}
