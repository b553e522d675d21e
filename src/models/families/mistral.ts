import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { Family } from '../family.js';
import { ggufContextInWindow } from '../gguf-mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, RotaryDecoder } from './llama.js';

/** Mistral 7B (Jiang et al. 2023, arXiv 2310.06825): Llama with windowed attention. */
export class Mistral extends RotaryDecoder {
  protected override get answersQuestions(): boolean {
    return true;
  }

  protected override get bodyName(): string {
    return 'model';
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { window: config.sizeOrNull('sliding_window') };
  }
}

export const mistral: Family = {
  model: Mistral,
  className: 'Mistral',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 14336,
    num_key_value_heads: 8,
    max_position_embeddings: 131072,
    sliding_window: 4096,
  },
  rope: { theta: 10000 },
  gguf: { names: ggufNames, pairedRows: ['attn_q', 'attn_k'], saved: ggufContextInWindow },
};
