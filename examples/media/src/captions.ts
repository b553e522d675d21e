// Live captions: the microphone's samples go to the pipeline as a stream, which yields the text while it changes.

import type { Pipeline } from 'simdformer/tasks';
import { attempt, element, onModel, tell } from './page.js';

/** Hertz of the samples that models of speech read. The browser resamples to it. */
const RATE = 16_000;

/** Opens the microphone as a stream of samples, until `signal`. */
async function microphone(signal: AbortSignal): Promise<ReadableStream<Float32Array>> {
  const source = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext({ sampleRate: RATE });
  await context.audioWorklet.addModule(new URL('./recorder.js', import.meta.url));
  const recorder = new AudioWorkletNode(context, 'recorder', { numberOfOutputs: 0 });
  context.createMediaStreamSource(source).connect(recorder);
  return new ReadableStream({
    start(controller) {
      recorder.port.onmessage = ({ data }) => controller.enqueue(data);
      signal.addEventListener('abort', () => {
        recorder.port.onmessage = null;
        for (const track of source.getTracks()) track.stop();
        void context.close();
        controller.close();
      });
    },
  });
}

const button = element<HTMLButtonElement>('listen');
let hear: Pipeline<'automatic-speech-recognition'> | null = null;
let stop: AbortController | null = null;

onModel('automatic-speech-recognition', (loaded) => {
  hear = loaded;
  button.disabled = false;
});

button.addEventListener('click', () => {
  if (stop) {
    stop.abort();
    return;
  }
  stop = new AbortController();
  attempt(() => caption((stop as AbortController).signal).finally(finish));
});

async function caption(signal: AbortSignal): Promise<void> {
  const samples = await microphone(signal);
  button.setAttribute('aria-pressed', 'true');
  button.textContent = 'Stop';
  tell('Listening');
  for await (const { text, final } of (hear as Pipeline<'automatic-speech-recognition'>)(samples)) {
    element('final').textContent = final;
    element('open').textContent = text.slice(final.length);
  }
  tell('Stopped');
}

function finish(): void {
  stop?.abort();
  stop = null;
  button.setAttribute('aria-pressed', 'false');
  button.textContent = 'Listen';
}
