import './bring.css';
import { useRef, useState } from 'preact/hooks';
import { Figure } from '../../draw/figure.js';
import { saveFiles } from '../../save-files.js';
import type { PartProps } from '../parts.js';
import { ModelCard } from './model-card.js';
import { droppedFiles, readModel } from './read-model.js';

export default function Bring({ session }: PartProps) {
  const [over, setOver] = useState(false);
  const [news, setNews] = useState<{ text: string; good: boolean } | null>(null);
  const folder = useRef<HTMLInputElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const model = session.model.value;

  const open = async (given: Promise<File[]> | File[]) => {
    setNews({ text: 'Reading…', good: true });
    try {
      const { name, files } = await readModel(await given);
      await session.open(name, files);
      setNews({ text: `Every part of the page now shows “${name}”.`, good: true });
    } catch (error) {
      setNews({ text: (error as Error).message, good: false });
    }
  };
  const chosen = (input: HTMLInputElement) => {
    void open(Array.from(input.files ?? []));
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
          <code>await model.save('my-model')</code> in Node writes such a folder, and Save in “Teach it” downloads its
          files: config.json, model.safetensors and two tokenizers. Nothing leaves your computer.
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
      {model && (
        <Figure
          title="The model on this page"
          says="What its config.json says, and what follows from it. Save gives you its files, to be loaded in Node with Transformer.load or dropped here again."
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
