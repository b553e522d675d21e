import { FormatError } from '../../../core/errors.js';
import type { Tensor } from '../../../core/tensor.js';
import { Linear, type Projection } from '../../../nn/linear.js';
import type { Activation } from '../../../ops/activation.js';
import { add } from '../../../ops/binary.js';
import { mapVectors, SentenceModule, type TextFeatures, type VectorName } from '../features.js';
import { type ModuleFolder, matrixSize, vectorName } from '../module-folder.js';

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  Tanh: 'tanh',
  Identity: 'none',
  ReLU: 'relu',
  GELU: 'gelu',
  SiLU: 'silu',
  Sigmoid: 'sigmoid',
};

interface DenseParts {
  readonly linear: Linear;
  /** The path around the projection for inputs of another size; null if the input itself is added. */
  readonly residual?: Linear | null;
  readonly activation?: Activation;
  readonly hasResidual?: boolean;
  readonly input?: VectorName;
  readonly folder?: string | null;
}

/** A projection of vectors: activation(x w + b), and with a residual path the input added to it. */
export class Dense extends SentenceModule {
  override readonly folder: string | null;
  readonly linear: Projection;
  readonly residual: Projection | null;
  readonly input: VectorName;
  readonly #activation: Activation;
  readonly #hasResidual: boolean;

  constructor({ linear, residual, activation, hasResidual, input, folder }: DenseParts) {
    super();
    this.folder = folder ?? null;
    this.linear = linear;
    this.residual = residual ?? null;
    this.input = input ?? 'sentence_embedding';
    this.#activation = activation ?? 'none';
    this.#hasResidual = hasResidual ?? false;
  }

  static async read({ path, init, config, tensors, isLateInteraction }: ModuleFolder): Promise<Dense> {
    const settings = await config();
    const entries = await tensors();
    const [outputs, inputs] = matrixSize(path, entries, 'linear.weight', 2) as [number, number];
    const hasResidual = settings.use_residual === true;
    const module = new Dense({
      linear: new Linear(init, inputs, outputs, entries.has('linear.bias')),
      residual: hasResidual && inputs !== outputs ? new Linear(init, inputs, outputs, false) : null,
      activation: activationOf(path, settings.activation_function),
      hasResidual,
      input: vectorName(path, settings, isLateInteraction),
      folder: path,
    });
    await module.readState(entries);
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    return mapVectors(features, this.input, (x) => this.#projected(x));
  }

  #projected(x: Tensor): Tensor {
    const y = this.linear.forward(x, this.#activation);
    return this.#hasResidual ? add(y, this.residual?.forward(x) ?? x) : y;
  }
}

/** The activation of a class of torch. Default: Tanh. Throws FormatError for a class that is not known. */
function activationOf(path: string, name: unknown): Activation {
  const short = `${name ?? 'Tanh'}`.split('.').at(-1) as string;
  const activation = Object.hasOwn(ACTIVATIONS, short) ? ACTIVATIONS[short] : undefined;
  if (activation !== undefined) return activation;
  const known = Object.keys(ACTIVATIONS).join(', ');
  throw new FormatError(`${path}/config.json: activation_function is ${short}, expected one of ${known}`);
}
