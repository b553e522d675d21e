import { AlignmentFigure } from './alignment-figure.js';
import type { Guest } from './guest.js';
import { Heads } from './heads-view.js';
import type { Heard } from './listen.js';
import { MediaFigure, useMedia } from './media-figure.js';

const picker = { text: 'Choose a recording', label: 'A recording', accept: '.wav,audio/wav' };
const summary = ({ name, seconds }: Heard) => `${name}, ${seconds.toFixed(1)} seconds.`;

async function listenerOf(guest: Guest): Promise<typeof import('./listen.js').listen> {
  if (guest.hasCtc) return (await import('./listen-ctc.js')).listenCtc;
  if (guest.transduces) return (await import('./listen-transducer.js')).listenTransducer;
  return (await import('./listen.js')).listen;
}

/** Result of a Whisper, a Moonshine, or a model with CTC or a transducer, for a recording. */
export function SoundView({ guest, recording }: { guest: Guest; recording: File | null }) {
  const [answer, open] = useMedia<never, Heard>(guest, recording, null, async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const listen = await listenerOf(guest);
    return listen(guest, file.name, bytes);
  });
  const heard = answer.value;
  return (
    <>
      <MediaFigure
        title="What it hears"
        says="Choose a WAV file, or drop one above: the model writes down the speech in it. Nothing leaves your computer."
        {...{ picker, answer, summary }}
        onFile={open}
      >
        {heard && (
          <blockquote class="transcript">
            <p>{heard.text || heard.tokens.map(({ name }) => name).join(' ')}</p>
          </blockquote>
        )}
      </MediaFigure>
      {heard && <AlignmentFigure alignment={heard.alignment} />}
      {heard && heard.heads.length > 0 && <Heads views={heard.heads} heads={heard.headsOfLayer} />}
    </>
  );
}
