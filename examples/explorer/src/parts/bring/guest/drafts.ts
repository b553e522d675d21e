// Speculative decoding of a text: what was guessed, and what of it the model accepted.

import type { DraftEvent, GenerateOptions } from 'simdformer';
import { loadModel } from 'simdformer/pretrained';
import { type Guest, MAX_TOKENS, type Token } from './guest.js';
import { idsOf } from './read.js';

export type Drafter = 'prompt' | 'copy';

/** Tokens of one pass: the accepted guesses, the rejected ones, and the model's own token. */
export interface Piece {
  readonly accepted: readonly Token[];
  readonly rejected: readonly Token[];
  /** Null if the text ends before it. */
  readonly own: Token | null;
}

export interface Drafted {
  readonly pieces: readonly Piece[];
  readonly guessed: number;
  readonly accepted: number;
  readonly written: number;
}

/** Continues a text with guesses: of a look-up in the text itself, or of a copy of the model in int4. */
export async function drafted(guest: Guest, text: string, drafter: Drafter): Promise<Drafted> {
  const { model, device, source } = guest;
  const copy = drafter === 'copy' ? await loadModel(device, source, { weights: 'int4', onWarning: () => {} }) : null;
  try {
    const events: DraftEvent[] = [];
    const options: GenerateOptions = {
      numBeams: 1,
      doSample: false,
      maxNewTokens: MAX_TOKENS,
      draft: copy ?? 'prompt',
      onDraft: (event) => events.push(event),
    };
    const { sequences } = await model.generate([idsOf(guest, text)], options);
    return arranged(guest, sequences[0] as number[], events);
  } finally {
    copy?.dispose();
  }
}

function arranged(guest: Guest, written: readonly number[], events: readonly DraftEvent[]): Drafted {
  const byPlace = new Map(events.map((event) => [event.at, event]));
  const pieces: Piece[] = [];
  for (let at = 0; at < written.length; ) {
    const { tokens = [], accepted = 0 } = byPlace.get(at) ?? {};
    const own = written.slice(at + accepted, at + accepted + 1);
    pieces.push({
      accepted: guest.tokens(tokens.slice(0, accepted)),
      rejected: guest.tokens(tokens.slice(accepted)),
      own: guest.tokens(own)[0] ?? null,
    });
    at += accepted + 1;
  }
  const sum = (of: (event: DraftEvent) => number) => events.reduce((total, event) => total + of(event), 0);
  return {
    pieces,
    guessed: sum(({ tokens }) => tokens.length),
    accepted: sum(({ accepted }) => accepted),
    written: written.length,
  };
}
