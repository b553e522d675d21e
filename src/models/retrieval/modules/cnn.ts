import { describeValue, isCount } from '../../../core/check.js';
import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { Conv1d } from '../../../nn/conv.js';
import { concat, pack, permute, unpack } from '../../../ops/move.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** Convolutions of several widths over the tokens of a text, side by side. */
export class Cnn extends SentenceModule {
  constructor(
    readonly convs: readonly Conv1d[],
    override readonly folder: string,
  ) {
    super();
  }

  /** Throws FormatError for strides and even widths, whose results no pooling of sentence-transformers can read. */
  static async read({ path, init, config, tensors }: ModuleFolder): Promise<Cnn> {
    const { kernel_sizes: widths, stride_sizes: strides } = await config('cnn_config.json');
    const isOdd = (width: unknown) => isCount(width as number) && (width as number) % 2 === 1;
    const isEach = (value: unknown, check: (item: unknown) => boolean) =>
      Array.isArray(value) && value.length > 0 && value.every(check);
    if (!isEach(widths, isOdd) || !(strides == null || isEach(strides, (stride) => stride === 1)))
      throw new FormatError(
        `${path}/cnn_config.json: kernel_sizes is ${describeValue(widths)} and stride_sizes is ` +
          `${describeValue(strides)}, expected odd sizes and strides of 1`,
      );
    const entries = await tensors();
    const convs = (widths as number[]).map((width, i) => {
      const [outputs, inputs] = matrixSize(path, entries, `convs.${i}.weight`, 3) as [number, number];
      return new Conv1d(init, { inputs, outputs, kernel: width, padding: (width - 1) / 2 });
    });
    const module = new Cnn(convs, path);
    await module.readState(entries);
    return module;
  }

  /** Zeros are before and after each text, as for a text that Python reads alone. */
  override forward(features: TextFeatures): TextFeatures {
    const { batch } = features;
    const x = permute(unpack(tokensOf(features), batch.lengths, batch.longest), [0, 2, 1]); // [B, d, T]
    const y = concat(
      this.convs.map((conv): Tensor => conv.forward(x)),
      1,
    );
    return { ...features, tokens: pack(permute(y, [0, 2, 1]), batch.lengths, batch.total) };
  }
}
