// The heads of wav2vec 2.0 and its descendants.

import type { Dropout } from '../nn/dropout.js';
import { Linear } from '../nn/linear.js';
import type { StateNames } from '../nn/state-names.js';
import { labelsOf } from './labels.js';
import { PredictionHead } from './prediction-head.js';
import type { FamilyContext, HeadKind } from './pretrained-model.js';
import { XVectorHead } from './x-vector-head.js';

/** Heads of classes of sounds, of their frames, and of voices. */
export const CLASSIFYING: readonly HeadKind[] = ['sequence-classification', 'frame-classification', 'x-vector'];

/** Heads that cannot follow an adapter. */
export const WITHOUT_ADAPTER: readonly HeadKind[] = ['sequence-classification', 'frame-classification'];

/** The head of a model. `dModel`: number of features that it reads. `dropout` makes that before the vocabulary. */
export function soundHead(
  { init, config, head }: FamilyContext,
  dModel: number,
  dropout: () => Dropout,
): PredictionHead | null {
  if (head === 'ctc') {
    const out = new Linear(init, dModel, config.size('vocab_size'));
    return new PredictionHead({ pick: 'tokens', dropout: dropout(), out });
  }
  if (head === 'none') return null;
  if (head === 'x-vector') return new XVectorHead(init, config, dModel);
  const classes = labelsOf(config.values).length;
  if (head === 'frame-classification')
    return new PredictionHead({ pick: 'tokens', out: new Linear(init, dModel, classes) });
  const size = config.size('classifier_proj_size');
  const dense = new Linear(init, dModel, size);
  return new PredictionHead({ pick: 'mean', dense, out: new Linear(init, size, classes) });
}

/** Names of a head. */
export function soundHeadNames(head: HeadKind): StateNames {
  return {
    'head.dense': 'projector',
    'head.tdnn.*': 'tdnn.*',
    'head.vector': 'feature_extractor',
    'head.objective': ['objective.weight'],
    'head.out': head === 'ctc' ? 'lm_head' : 'classifier',
  };
}
