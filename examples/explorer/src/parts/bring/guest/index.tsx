import '../../look-inside/look-inside.css';
import './guest.css';
import { Facts } from '../../../draw/facts.js';
import { Figure } from '../../../draw/figure.js';
import { ConversationView } from './conversation-view.js';
import type { Guest } from './guest.js';
import { ImageView } from './image-view.js';
import { SoundView } from './sound-view.js';
import { TextView } from './text-view.js';

/** Shows a guest that is not a `Transformer`: facts about it, and its results for a text, a recording or a picture. */
export default function GuestView({ guest, media }: { guest: Guest; media: File | null }) {
  const { model } = guest;
  const layers = [
    [model.encoder, 'encoder'],
    [model.decoder, 'decoder'],
  ] as const;
  const vectors = `vectors of ${guest.sees && !guest.converses ? 'pictures' : 'texts'}`;
  const facts: (readonly [string, string])[] = [
    ['Name', guest.name],
    ['Family', guest.type],
    ['Made for', model.headKind === 'none' ? vectors : model.headKind.replaceAll('-', ' ')],
    ['Layers', layers.flatMap(([stack, name]) => (stack ? `${stack.layers.length} ${name}` : [])).join(', ')],
    ...((guest.sees && !guest.converses) || guest.hasCtc
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
      {guest.hears ? (
        <SoundView guest={guest} recording={media} />
      ) : guest.converses ? (
        <ConversationView guest={guest} picture={media} />
      ) : guest.sees ? (
        <ImageView guest={guest} picture={media} />
      ) : (
        <TextView guest={guest} />
      )}
    </div>
  );
}
