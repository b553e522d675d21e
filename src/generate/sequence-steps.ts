import type { Program } from '../core/program.js';
import type { Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';
import type { Generative } from './generative.js';
import { Pace } from './pace.js';
import { Ranker } from './ranking.js';

/** What advances the one sequence of a state, recorded once, and what ranks logits of it: a row, or several. */
export class SequenceSteps {
  readonly pace = new Pace();
  readonly #rankers = new Map<number, Ranker>();
  readonly #chosen = new Map<number, Tensor>();
  #program: Program<Tensor> | null = null;

  /** `stops` and `suppressed`: how many there are. */
  constructor(
    private readonly model: Generative,
    private readonly state: DecoderState,
    readonly stops: number,
    readonly suppressed: number,
  ) {}

  /** Reads a token, ranks the next ones and takes the best for the step after it. */
  get program(): Program<Tensor> {
    this.#program ??= this.model.device.record(() => {
      const logits = this.model.step(this.state);
      this.ranker(1).rank(logits, this.state.tokens);
      return logits;
    });
    return this.#program;
  }

  /** Of so many rows of logits. */
  ranker(rows: number): Ranker {
    return known(this.#rankers, rows, () => new Ranker(this.model.device, 1, rows, this.stops, this.suppressed));
  }

  /** Where that many rows leave their best tokens. */
  chosen(rows: number): Tensor {
    if (rows === 1) return this.state.tokens;
    const { device } = this.model;
    return known(this.#chosen, rows, () => device.unscoped(() => device.empty([rows], 'int32')));
  }

  dispose(): void {
    this.#program?.dispose();
    for (const each of [...this.#rankers.values(), ...this.#chosen.values()]) each.dispose();
  }
}

function known<T>(all: Map<number, T>, key: number, make: () => T): T {
  const value = all.get(key) ?? make();
  all.set(key, value);
  return value;
}
