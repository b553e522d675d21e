import { useRef, useState } from 'preact/hooks';
import { type Origin, openTask, type Report } from '../engine.js';
import { ModelBar } from '../model-bar.js';
import { FileButton, Problem, StopButton } from '../parts.js';
import { useModel } from '../use-model.js';
import { useWork } from '../use-work.js';

const SUGGESTIONS = ['openai/whisper-tiny.en', 'openai/whisper-base', 'UsefulSensors/moonshine-tiny'];

const load = (origin: Origin, report: Report, stop: AbortSignal) =>
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
        <FileButton
          label="Choose a recording"
          accept="audio/*,video/*"
          disabled={ready === null}
          onFiles={([file]) => void transcribe(file as File)}
        />
        <StopButton work={work} />
      </div>
      <Problem work={work} />
      <output class="text">{work.isBusy ? 'Listening…' : text}</output>
    </>
  );
}
