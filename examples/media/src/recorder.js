// Sends the samples of the microphone's first channel to the page. It runs on the audio thread.
class Recorder extends AudioWorkletProcessor {
  process([channels]) {
    if (channels[0]) this.port.postMessage(channels[0]); // the message has a copy
    return true;
  }
}

registerProcessor('recorder', Recorder);
