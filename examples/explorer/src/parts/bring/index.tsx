import './bring.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { forgetKept } from '../../address.js';
import { Figure } from '../../draw/figure.js';
import { Complaint } from '../../model.js';
import { saveFiles } from '../../save-files.js';
import type { PartProps } from '../parts.js';
import { ModelCard } from './model-card.js';
import { droppedFiles, type Given, pickedFiles, readModel } from './read-model.js';

export default function Bring({ session }: PartProps) {
  const [over, setOver] = useState(false);
  const [news, setNews] = useState<{ text: string; good: boolean } | null>(null);
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const model = session.model.value;

  const guest = session.guest.value;
  const [media, setMedia] = useState<File | null>(null);
  const View = useGuestView(guest !== null);

  const open = async (given: Promise<Given[]> | Given[]) => {
    setNews({ text: 'Reading…', good: true });
    try {
      const brought = await readModel(await given);
      if (!('name' in brought)) {
        const current = session.guest.value;
        if (brought.kind === 'recording' && !current?.hears)
          throw new Complaint('That is a recording: bring a Whisper first, to listen to it.');
        if (brought.kind === 'picture' && !current?.sees)
          throw new Complaint('That is a picture: bring a model of images first, to look at it.');
        setMedia(brought.file);
        setNews(null);
        return;
      }
      const { name } = brought;
      if (brought.kind === 'guest') {
        const { openGuest } = await import('./guest/guest.js');
        const opened = await openGuest(name, brought.files);
        if (session.guest.value) forgetKept(); // entries for the previous model do not fit
        session.welcome(opened);
        setMedia(null);
        setNews({ text: `“${name}” is below.`, good: true });
        return;
      }
      await session.open(name, brought.files);
      session.welcome(null);
      setNews({ text: `Every part of the page now shows “${name}”.`, good: true });
    } catch (error) {
      setNews({ text: (error as Error).message, good: false });
    }
  };
  const chosen = (input: HTMLInputElement) => {
    void open(pickedFiles(input));
    input.value = ''; // so that the same files can be chosen again
  };

  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: dropping is a short cut for the buttons inside */}
      <div
        class={`drop ${over ? 'over' : ''}`}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (event.dataTransfer) void open(droppedFiles(event.dataTransfer));
        }}
      >
        <p class="drop-title">Drop a model’s folder or files here</p>
        <p class="hint">
          A folder of Hugging Face’s: BERT and its kin, GPT-2, Llama, T5, BART, Whisper, ViT, DETR and others
          (config.json, model.safetensors, tokenizer.json), or a GGUF file. Or what{' '}
          <code>await model.save('my-model')</code> writes in Node and Save in “Teach it” downloads. Nothing leaves your
          computer.
        </p>
        <div class="controls">
          <button type="button" class="main" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
          <button type="button" onClick={() => files.current?.click()}>
            Choose files
          </button>
        </div>
        <input
          ref={folder}
          type="file"
          hidden
          aria-label="A model’s folder"
          {...{ webkitdirectory: true }}
          onChange={(event) => chosen(event.currentTarget)}
        />
        <input
          ref={files}
          type="file"
          hidden
          multiple
          aria-label="A model’s files"
          onChange={(event) => chosen(event.currentTarget)}
        />
        <p role="status" class={news?.good === false ? 'news complaint' : 'news'}>
          {news?.text}
        </p>
      </div>
      {guest && View && <View key={guest.key} guest={guest} media={media} />}
      {model && !guest && (
        <Figure
          title="The model on this page"
          says="The settings in its config.json, and values derived from them. Save gives you its files, to be loaded in Node with Transformer.load or dropped here again."
        >
          <ModelCard model={model} />
          <div class="controls">
            <button
              type="button"
              onClick={() => {
                session
                  .run(async ({ transformer }) => saveFiles(await transformer.toFiles()))
                  .catch((error) => session.report(error));
              }}
            >
              Save
            </button>
          </div>
        </Figure>
      )}
    </>
  );
}

/** Component that shows a guest, once it is loaded. */
function useGuestView(wanted: boolean) {
  const [View, setView] = useState<typeof import('./guest/index.js').default | null>(null);
  useEffect(() => {
    if (wanted) void import('./guest/index.js').then((module) => setView(() => module.default));
  }, [wanted]);
  return View;
}
