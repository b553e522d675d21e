// Sounds by the names of transformers.js.

import { joinFloats } from '../../core/join-floats.js';
import { writeWav } from '../../pretrained/processors/wav.js';
import type { MediaFile } from '../media-source.js';
import { saveFile } from '../save-file.js';
import { samplesOf } from '../speech/sound-inputs.js';

/** Sound of one channel. */
export class RawAudio {
  /** Samples from −1 to 1. */
  readonly audio: Float32Array;

  /** Takes samples, or consecutive pieces of them, and their rate in hertz. */
  constructor(
    audio: Float32Array | readonly Float32Array[],
    readonly sampling_rate: number,
  ) {
    this.audio = Array.isArray(audio) ? joinFloats(audio) : (audio as Float32Array);
  }

  /** The samples, by another name of transformers.js. */
  get data(): Float32Array {
    return this.audio;
  }

  /** A WAV file of 16-bit samples. */
  toWav(): Uint8Array {
    return writeWav(this.audio, this.sampling_rate);
  }

  /** The WAV file as a Blob. */
  toBlob(): Blob {
    return new Blob([this.toWav() as Uint8Array<ArrayBuffer>], { type: 'audio/wav' });
  }

  /**
   * Writes a WAV file, or offers it as a download in a page. Rejects with ArgumentError in workers of pages, and with
   * the system's error.
   */
  save(path: string): Promise<void> {
    return saveFile(path, this.toWav());
  }
}

/**
 * Reads a file of sound at a rate in hertz. Channels are averaged. Rejects with ArgumentError for values that are not a
 * file, and with FormatError for files that cannot be decoded.
 */
export function load_audio(file: MediaFile, sampling_rate: number): Promise<Float32Array> {
  return samplesOf('load_audio', file, sampling_rate);
}

/** The older name of `load_audio`. */
export const read_audio: typeof load_audio = load_audio;
