import { useRef, useState } from 'preact/hooks';
import { type Origin, openTask } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = ['openai/whisper-tiny.en', 'openai/whisper-base', 'UsefulSensors/moonshine-tiny'];

const load = (origin: Origin, report: (share: number) => void, stop: AbortSignal) =>
  openTask('automatic-speech-recognition', origin, report, stop);

/** Writes down what a file or the microphone says. */
export function TranscribeTab() {
  const model = useModel(load);
  const work = useWork();
  const recorder = useRef<MediaRecorder | null>(null);
  const [isRecording, setRecording] = useState(false);
  const [text, setText] = useState('');
  const ready = model.state.kind === 'ready' ? model.state.value : null;

  const transcribe = (recording: Blob) =>
    work.run(async (signal) => {
      if (ready === null) throw new Error('Load a model first.');
      setText('');
      const began = performance.now();
      const output = await ready(recording, { signal });
      setText(`${output.text.trim()}\n(${((performance.now() - began) / 1000).toFixed(1)} s)`);
    });

  const record = async () => {
    if (recorder.current !== null) return recorder.current.stop();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const current = new MediaRecorder(stream);
      const pieces: Blob[] = [];
      current.addEventListener('dataavailable', ({ data }) => pieces.push(data));
      current.addEventListener('stop', () => {
        for (const track of stream.getTracks()) track.stop();
        recorder.current = null;
        setRecording(false);
        void transcribe(new Blob(pieces, { type: current.mimeType }));
      });
      current.start();
      recorder.current = current;
      setRecording(true);
    } catch (error) {
      setText(`The microphone cannot be used: ${(error as Error).message}`);
    }
  };

  return (
    <>
      <ModelBar model={model} suggestions={SUGGESTIONS} />
      <div class="row">
        <button type="button" class="main" disabled={work.isBusy || ready === null} onClick={() => void record()}>
          {isRecording ? 'Stop recording' : 'Record'}
        </button>
        <label class="button">
          Choose a recording
          <input
            type="file"
            accept="audio/*,video/*"
            class="hidden"
            disabled={ready === null}
            onChange={(event) => {
              const [file] = event.currentTarget.files ?? [];
              if (file) void transcribe(file);
              event.currentTarget.value = '';
            }}
          />
        </label>
        <button type="button" disabled={!work.isBusy} onClick={work.stop}>
          Stop
        </button>
      </div>
      {work.problem && (
        <p class="wrong" role="alert">
          {work.problem}
        </p>
      )}
      <output class="text">{work.isBusy ? 'Listening…' : text}</output>
    </>
  );
}
