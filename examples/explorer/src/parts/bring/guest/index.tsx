import '../../look-inside/look-inside.css';
import './guest.css';
import type { ComponentType } from 'preact';
import { Facts } from '../../../draw/facts.js';
import { Figure } from '../../../draw/figure.js';
import { ConversationView } from './conversation-view.js';
import type { Guest } from './guest.js';
import { ImageView } from './image-view.js';
import { SoundView } from './sound-view.js';
import { TextView } from './text-view.js';
import { useLoaded } from './use-loaded.js';

/** Shows a guest that is not a `Transformer`: facts about it, and its results for a text, a recording or a picture. */
export default function GuestView({ guest, media }: GuestProps) {
  const { model } = guest;
  const layers = [
    [model.encoder, 'encoder'],
    [model.decoder, 'decoder'],
  ] as const;
  const facts: (readonly [string, string])[] = [
    ['Name', guest.name],
    ['Family', guest.type],
    ['Made for', purposeOf(guest)],
    ['Layers', layers.flatMap(([stack, name]) => (stack ? `${stack.layers.length} ${name}` : [])).join(', ')],
    ...((guest.sees && !guest.converses) || guest.hasCtc || guest.transduces
      ? []
      : ([
          ['Vocabulary', model.vocabSize.toLocaleString('en')],
          ['Longest sequence', `${model.maxLength.toLocaleString('en')} tokens`],
        ] as const)),
  ];
  return (
    <div class="guest look-inside">
      <Figure
        title="The model you brought"
        says="The settings in its files. The model runs in this page, on a separate device. The other parts keep the previous model."
      >
        <Facts class="model-card" facts={facts.filter(([, value]) => value !== '')} />
      </Figure>
      <Results guest={guest} media={media} />
    </div>
  );
}

function purposeOf(guest: Guest): string {
  const { headKind } = guest.model;
  if (guest.speaks) return 'speech';
  if (guest.outlines) return 'outlines of objects';
  if (guest.compares) return 'vectors of sounds and texts';
  if (headKind === 'none') return `vectors of ${guest.sees && !guest.converses ? 'pictures' : 'texts'}`;
  return headKind.replaceAll('-', ' ');
}

/** The view of what the model reads. Views of rarer models are loaded when they are shown. */
function Results({ guest, media }: GuestProps) {
  const load = rareViews.find(({ applies }) => applies(guest))?.load;
  if (load) return <RareView load={load} {...{ guest, media }} />;
  if (guest.hears) return <SoundView guest={guest} recording={media} />;
  if (guest.converses) return <ConversationView guest={guest} picture={media} />;
  return guest.sees ? <ImageView guest={guest} picture={media} /> : <TextView guest={guest} />;
}

interface GuestProps {
  readonly guest: Guest;
  readonly media: File | null;
}

interface RareViewOf {
  readonly applies: (guest: Guest) => boolean;
  readonly load: () => Promise<{ default: ComponentType<GuestProps> }>;
}

const rareViews: readonly RareViewOf[] = [
  { applies: ({ outlines }) => outlines, load: () => import('./segment-view.js') },
  { applies: ({ compares }) => compares, load: () => import('./compare-view.js') },
  { applies: ({ speaks }) => speaks, load: () => import('./speech-view.js') },
];

function RareView({ load, ...props }: Pick<RareViewOf, 'load'> & GuestProps) {
  const [View, failed] = useLoaded(load);
  if (View) return <View {...props} />;
  return failed ? (
    <p role="alert" class="trouble">
      This view did not load. Check the connection, then bring the model again.
    </p>
  ) : (
    <p class="waiting">Loading…</p>
  );
}
