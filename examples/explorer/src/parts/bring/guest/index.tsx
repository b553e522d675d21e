import '../../look-inside/look-inside.css';
import './guest.css';
import { Facts } from '../../../draw/facts.js';
import { Figure } from '../../../draw/figure.js';
import type { Guest } from './guest.js';
import { SoundView } from './sound-view.js';
import { TextView } from './text-view.js';

/** Shows a guest that is not a `Transformer`: facts about it, and its results for a text or a recording. */
export default function GuestView({ guest, recording }: { guest: Guest; recording: File | null }) {
  const { model } = guest;
  const layers = [
    [model.encoder, 'encoder'],
    [model.decoder, 'decoder'],
  ] as const;
  const facts: [string, string][] = [
    ['Name', guest.name],
    ['Family', guest.type],
    ['Made for', model.headKind === 'none' ? 'vectors of texts' : model.headKind.replaceAll('-', ' ')],
    ['Layers', layers.flatMap(([stack, name]) => (stack ? `${stack.layers.length} ${name}` : [])).join(', ')],
    ['Vocabulary', model.vocabSize.toLocaleString('en')],
    ['Longest sequence', `${model.maxLength.toLocaleString('en')} tokens`],
  ];
  return (
    <div class="guest look-inside">
      <Figure
        title="The model you brought"
        says="The settings in its files. The model runs in this page, on a separate device. The other parts keep the previous model."
      >
        <Facts class="model-card" facts={facts} />
      </Figure>
      {guest.hears ? <SoundView guest={guest} recording={recording} /> : <TextView guest={guest} />}
    </div>
  );
}
