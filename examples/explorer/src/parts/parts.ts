import type { ComponentType } from 'preact';
import type { Session } from '../session.js';

export interface PartProps {
  readonly session: Session;
}

interface Part {
  /** Its address, after the #. */
  readonly id: string;
  readonly title: string;
  /** One sentence below the title. */
  readonly promise: string;
  readonly load: () => Promise<{ default: ComponentType<PartProps> }>;
}

/** The parts of the page, in order. Each is loaded when it is first shown. */
export const parts: readonly Part[] = [
  {
    id: 'pronounce',
    title: 'Pronounce',
    promise: 'The model spells a word into sounds, one at a time, and weighs every sound it knows at each step.',
    load: () => import('./pronounce/index.js'),
  },
  {
    id: 'look-inside',
    title: 'Look inside',
    promise: 'Every head of every layer attends to other tokens: watch the heads, compare them, switch them off.',
    load: () => import('./look-inside/index.js'),
  },
  {
    id: 'follow-numbers',
    title: 'Follow the numbers',
    promise: 'One token’s way through the model, from its embedding to the next sound, with the real values.',
    load: () => import('./follow-numbers/index.js'),
  },
  {
    id: 'positions',
    title: 'Positions',
    promise: 'Attention sees a bag of tokens; these patterns are how it learns which comes first.',
    load: () => import('./positions/index.js'),
  },
  {
    id: 'teach',
    title: 'Teach it',
    promise: 'Train a small model here in the page, watch it improve, then look inside it.',
    load: () => import('./teach/index.js'),
  },
  {
    id: 'bring',
    title: 'Bring a model',
    promise: 'Drop your own model (BERT, GPT-2, Llama, Whisper, or one saved here) and look inside it.',
    load: () => import('./bring/index.js'),
  },
];
