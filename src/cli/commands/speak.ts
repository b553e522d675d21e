import { addAbortSignal } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { Command } from 'commander';
import { writeAtomically } from '../../io/atomic-write.js';
import { VOCODER } from '../../tasks/text-to-speech.js';
import { openDevice } from '../common.js';
import { example, REVISION } from '../help.js';
import { integer, positive } from '../parsers.js';
import { stopping } from '../stopping.js';
import { loadPipeline } from '../text-jobs.js';

interface SpeakOptions {
  readonly out: string;
  readonly seed?: number;
  readonly speaker?: number;
  readonly voice?: string;
  readonly vocoder?: string;
  readonly rate?: number;
  readonly revision?: string;
}

export function speakCommand(): Command {
  return new Command('speak')
    .description('read a text aloud, into a WAV file')
    .argument('<model>', 'folder or hub id of a VITS (MMS-TTS) or SpeechT5 model')
    .argument('[text]', 'text to read (default: standard input)')
    .requiredOption('-o, --out <file>', 'WAV file to write, - for standard output')
    .option('--seed <n>', 'seed of the noise that varies the speech', integer(0), 0)
    .option('--speaker <n>', 'number of the voice, for VITS models with several (default: none)', integer(0))
    .option('--voice <file>', 'file of float32 numbers with the voice; SpeechT5 needs it (default: none)')
    .option('--vocoder <model>', `folder or hub id of SpeechT5's vocoder (default: ${VOCODER})`)
    .option('--rate <factor>', "speed, for VITS: 2 is twice as fast as 1 (default: the model's setting)", positive)
    .option('--revision <name>', REVISION)
    .addHelpText('after', example('speak facebook/mms-tts-eng "Hello" --out hello.wav'))
    .action(async (model: string, argument: string | undefined, options: SpeakOptions, command: Command) => {
      const { out, seed, speaker, voice, vocoder, rate, revision } = options;
      using device = await openDevice(command);
      using stop = stopping();
      await using speak = await loadPipeline('text-to-speech', model, { device, revision, stop });
      const text = argument ?? (await textOf(addAbortSignal(stop.signal, process.stdin)));
      const sound = await speak(text.trim(), {
        seed,
        speaker_id: speaker,
        speaker_embeddings: voice,
        vocoder,
        speaking_rate: rate,
        signal: stop.signal,
      });
      const file = sound.toWav();
      if (out === '-') process.stdout.write(file);
      else await writeAtomically(new Map([[out, [file]]]));
    });
}
