import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { SubLayerTrace, Values } from 'simdformer/inspect';
import { placeInAddress } from '../../address.js';
import { useTrace } from '../../traced.js';
import type { PartProps } from '../parts.js';
import { Chooser } from './chooser.js';
import { Distances } from './distances.js';
import { FeedForward } from './feed-forward.js';
import { Mixing } from './mixing.js';
import { Norm, NormAgain } from './norms.js';
import { Outcome } from './outcome.js';
import { Scores } from './scores.js';
import { Embedding, Layers, Projections, Sum } from './vectors.js';
import { type Choices, choicesOf, type Way, wayOf } from './way.js';
import './follow-numbers.css';

/** One token's way through the model, figure by figure in the order in which the model computes. */
export default function FollowNumbers({ session }: PartProps) {
  const traced = useTrace(session);
  const [choices, setChoices] = useState<Choices>(() => choicesOf(placeInAddress()));
  const way = useMemo(() => traced && wayOf(traced, choices), [traced, choices]);
  if (way === null) return <p class="empty">The numbers appear here when the model has pronounced a word.</p>;
  const attention = way.attention === 'cross' && way.side === 'decoder' ? 'cross attention' : 'self-attention';
  return (
    <div class="follow-numbers">
      <Chooser way={way} onChange={setChoices} />
      <Embedding way={way} />
      <Distances way={way} />
      <SubLayer way={way} step={way.step} what={attention} norm={<Norm way={way} norm={way.step.norm} />}>
        <Projections way={way} />
        <Scores way={way} onToken={(token) => setChoices({ ...choices, token })} />
        <Mixing way={way} />
      </SubLayer>
      <SubLayer
        way={way}
        step={way.steps.feedForward}
        what="the feed-forward network"
        norm={<NormAgain way={way} norm={way.steps.feedForward.norm} />}
      >
        <FeedForward way={way} />
      </SubLayer>
      <Layers way={way} />
      <Outcome way={way} />
    </div>
  );
}

interface SubLayerProps {
  readonly way: Way;
  readonly step: SubLayerTrace<{ output: Values }>;
  readonly what: string;
  readonly norm: ComponentChildren;
  readonly children: ComponentChildren;
}

/** The inside of a sub-layer, its sum, and its norm before or after the sum. */
function SubLayer({ way, step, what, norm, children }: SubLayerProps) {
  const pre = way.config.norm === 'pre';
  return (
    <>
      {pre && norm}
      {children}
      <Sum way={way} of={step} what={what} />
      {!pre && norm}
    </>
  );
}
