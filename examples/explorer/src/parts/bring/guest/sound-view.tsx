import { useEffect, useState } from 'preact/hooks';
import { Figure } from '../../../draw/figure.js';
import { FilePicker } from '../../../draw/file-picker.js';
import { AlignmentFigure } from './alignment-figure.js';
import type { Guest } from './guest.js';
import { Heads } from './heads-view.js';
import type { Heard } from './listen.js';

/** Result of a Whisper, a Moonshine, or a model with CTC, for a recording. */
export function SoundView({ guest, recording }: { guest: Guest; recording: File | null }) {
  const [heard, setHeard] = useState<Heard | null>(null);
  const [said, setSaid] = useState<{ text: string; good: boolean } | null>(null);
  const listen = async (file: File) => {
    setSaid({ text: `Listening to ${file.name}…`, good: true });
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const listen = guest.hasCtc ? (await import('./listen-ctc.js')).listenCtc : (await import('./listen.js')).listen;
      setHeard(await guest.run(() => listen(guest, file.name, bytes)));
      setSaid(null);
    } catch (error) {
      setSaid({ text: (error as Error).message, good: false });
    }
  };
  useEffect(() => {
    if (recording) void listen(recording);
  }, [guest, recording]);
  return (
    <>
      <Figure
        title="What it hears"
        says="Choose a WAV file, or drop one above: the model writes down the speech in it. Nothing leaves your computer."
      >
        <FilePicker
          text="Choose a recording"
          label="A recording"
          accept=".wav,audio/wav"
          onFile={(file) => void listen(file)}
        />
        <p role="status" class={said?.good === false ? 'news complaint' : 'news'}>
          {said?.text}
        </p>
        {heard && (
          <blockquote class="transcript">
            <p>{heard.text || heard.tokens.map(({ name }) => name).join(' ')}</p>
            <footer>
              {heard.name}, {heard.seconds.toFixed(1)} seconds
            </footer>
          </blockquote>
        )}
      </Figure>
      {heard && <AlignmentFigure alignment={heard.alignment} />}
      {heard && heard.heads.length > 0 && <Heads views={heard.heads} heads={heard.headsOfLayer} />}
    </>
  );
}
