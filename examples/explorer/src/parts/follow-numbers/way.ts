// The user's choice of token, layer and head, and the positions of its numbers in the trace.

import type { TransformerConfig } from 'simdformer';
import type {
  AttentionTrace,
  FeedForwardTrace,
  LayerTrace,
  NormTrace,
  StackTrace,
  SubLayerTrace,
} from 'simdformer/inspect';
import type { Place } from '../../address.js';
import { readNames, type Traced } from '../../traced.js';

export interface Choices {
  readonly side: 'encoder' | 'decoder';
  readonly token: number;
  readonly layer: number;
  readonly head: number;
  /** One of a decoder layer's two attentions. */
  readonly attention: 'self' | 'cross';
}

/** The page's own model has all parts of a layer. */
type Whole<Inside> = SubLayerTrace<Inside> & { readonly norm: NormTrace };

export interface Steps extends LayerTrace {
  readonly selfAttention: Whole<AttentionTrace>;
  readonly crossAttention: Whole<AttentionTrace> | null;
  readonly feedForward: Whole<FeedForwardTrace>;
}

/** The way of one token through one side of the model. */
export interface Way extends Choices {
  readonly traced: Traced;
  readonly config: TransformerConfig;
  readonly stack: StackTrace;
  readonly steps: Steps;
  readonly step: Whole<AttentionTrace>;
  /** The tokens of this side (queries), and those of the keys. */
  readonly tokens: readonly string[];
  readonly keys: readonly string[];
  readonly name: string;
}

/** Returns the way for the user's choices. Choices that are out of range are clamped. */
export function wayOf(traced: Traced, choices: Choices): Way {
  const { said, trace } = traced;
  const { config } = said.model.transformer;
  const stack = trace[choices.side] as StackTrace;
  const tokens = namesOf(traced, choices.side);
  const token = Math.min(choices.token, tokens.length - 1);
  const layer = Math.min(choices.layer, stack.layers.length - 1);
  const head = Math.min(choices.head, config.heads - 1);
  const steps = stack.layers[layer] as Steps;
  const crosses = choices.side === 'decoder' && choices.attention === 'cross';
  const step = (crosses && steps.crossAttention) || steps.selfAttention;
  return {
    ...choices,
    token,
    layer,
    head,
    traced,
    config,
    stack,
    steps,
    step,
    tokens,
    keys: crosses ? said.letters : tokens,
    name: tokens[token] as string,
  };
}

/** The tokens that each side reads. */
export function namesOf({ said }: Traced, side: Choices['side']): readonly string[] {
  return side === 'encoder' ? said.letters : readNames(said);
}

/** The initial choices: the position to which the user was sent, or else the second letter. */
export function choicesOf(place: Place | null): Choices {
  const { attention = 'encoder', token = 1, layer = 0, head = 0 } = place ?? {};
  const side = attention === 'encoder' ? 'encoder' : 'decoder';
  return { side, token, layer, head, attention: attention === 'cross' ? 'cross' : 'self' };
}

/** The address of this head and token in other parts. */
export function placeOf({ side, attention, layer, head, token }: Way): Place {
  return { attention: side === 'decoder' && attention === 'cross' ? 'cross' : side, layer, head, token };
}
