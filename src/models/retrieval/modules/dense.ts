import type { Tensor } from '../../../core/tensor.js';
import { Linear, type Projection } from '../../../nn/linear.js';
import { add } from '../../../ops/binary.js';
import { type AppliedActivation, activationOf } from '../activations.js';
import { mapVectors, OF_TEXTS, SentenceModule, type TextFeatures, type VectorNames } from '../features.js';
import { type ModuleFolder, matrixSize, vectorNames } from '../module-folder.js';

interface DenseParts {
  readonly linear: Linear;
  /** The path around the projection for inputs of another size; null if the input itself is added. */
  readonly residual?: Linear | null;
  /** Default: none. */
  readonly activation?: AppliedActivation;
  readonly hasResidual?: boolean;
  /** Default: vectors of texts. */
  readonly names?: VectorNames;
  readonly folder?: string | null;
}

/** A projection of vectors: activation(x w + b), and with a residual path the input added to it. */
export class Dense extends SentenceModule {
  override readonly folder: string | null;
  readonly linear: Projection;
  readonly residual: Projection | null;
  override readonly names: VectorNames;
  readonly #activation: AppliedActivation;
  readonly #hasResidual: boolean;

  constructor({ linear, residual, activation, hasResidual, names, folder }: DenseParts) {
    super();
    this.folder = folder ?? null;
    this.linear = linear;
    this.residual = residual ?? null;
    this.names = names ?? OF_TEXTS;
    this.#activation = activation ?? 'none';
    this.#hasResidual = hasResidual ?? false;
  }

  static async read({ path, init, config, tensors, readsTokens }: ModuleFolder): Promise<Dense> {
    const settings = await config();
    const entries = await tensors();
    const [outputs, inputs] = matrixSize(path, entries, 'linear.weight', 2) as [number, number];
    const hasResidual = settings.use_residual === true;
    const module = new Dense({
      linear: new Linear(init, inputs, outputs, entries.has('linear.bias')),
      residual: hasResidual && inputs !== outputs ? new Linear(init, inputs, outputs, false) : null,
      activation: activationOf(`${path}/config.json`, settings.activation_function ?? 'torch.nn.Tanh') ?? 'tanh',
      hasResidual,
      names: vectorNames(path, settings, readsTokens),
      folder: path,
    });
    await module.readState(entries);
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    return mapVectors(features, this.names, (x) => this.#projected(x));
  }

  #projected(x: Tensor): Tensor {
    const activation = this.#activation;
    const y = typeof activation === 'string' ? this.linear.forward(x, activation) : activation(this.linear.forward(x));
    return this.#hasResidual ? add(y, this.residual?.forward(x) ?? x) : y;
  }
}
