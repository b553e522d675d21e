import { ArgumentError } from '../core/errors.js';
import { pcm16 } from '../pretrained/processors/wav.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import type { ModelPool } from './model-pool.js';
import {
  integer,
  nameOf,
  number,
  object,
  oneOf,
  optional,
  type Read,
  type Schema,
  string,
  withJson,
} from './schema.js';

/** Maximum number of characters of a text, as at OpenAI. */
const MAX_LETTERS = 4096;

const speechBody = (model: Schema<string>) =>
  object({
    model,
    input: string({ minLength: 1, maxLength: MAX_LETTERS }),
    voice: optional(
      string({
        maxLength: 64,
        description: 'The number of the voice. Other names stand for the only voice of a model.',
      }),
    ),
    instructions: optional(string({ maxLength: 4096, description: 'Ignored: the models take none.' })),
    response_format: withJson(optional(oneOf(['wav', 'pcm', 'mp3', 'opus', 'aac', 'flac'])), {
      description: 'Only wav and pcm (16-bit integers of one channel) are supported. Default: wav.',
    }),
    speed: optional(number({ min: 0.25, max: 4 })),
    stream_format: optional(oneOf(['audio'])),
    seed: optional(
      integer({ min: 0, max: 2 ** 32 - 1, description: 'An extension: the seed of the noise. Default: 0.' }),
    ),
  });

type Body = Read<ReturnType<typeof speechBody>>;

export function speech(models: ModelPool): Endpoint {
  const name = nameOf(models.namesOf(({ speaker }) => speaker !== null));
  return endpoint({
    method: 'post',
    path: '/v1/audio/speech',
    operationId: 'createSpeech',
    summary: 'Speaks a text. The answer is sound: audio/wav, or audio/pcm.',
    body: speechBody(name),
    texts: ['audio/wav', 'audio/pcm'],
    handle: speak,
  });
}

async function speak({ body, client, signal, use }: Call<Body>): Promise<Reply> {
  const served = await use(body.model);
  const { speaker, model } = served;
  if (!speaker) throw new ApiError(400, `The model '${served.id}' does not speak`, 'unsupported_model', 'model');
  const { response_format: format = 'wav', input, speed = 1, seed } = body;
  if (format !== 'wav' && format !== 'pcm')
    throw new ApiError(400, `'response_format' is ${format}, expected wav or pcm`, 'invalid_value', 'response_format');
  const rate = Number(model.config.speaking_rate ?? 1) * speed;
  const options = { speaker_id: voiceOf(body, model.config), speaking_rate: rate, seed };
  const sound = await speaker.speak(input, options, client, signal).catch((error: unknown) => {
    throw error instanceof ArgumentError ? new ApiError(400, error.message, 'invalid_value', 'input') : error;
  });
  return format === 'wav'
    ? { bytes: sound.toWav(), type: 'audio/wav' }
    : { bytes: pcm16(sound.audio), type: `audio/pcm;rate=${sound.sampling_rate};channels=1` };
}

/** Returns the index of the voice; undefined if the model has one voice. Throws ApiError 400 for an unknown voice. */
function voiceOf(
  { voice }: Body,
  { num_speakers: speakers = 1 }: Readonly<Record<string, unknown>>,
): number | undefined {
  if (speakers === 1) return undefined;
  if (voice !== undefined && /^\d+$/.test(voice) && Number(voice) < Number(speakers)) return Number(voice);
  throw new ApiError(400, `'voice' is ${voice}, expected a number below ${speakers}`, 'invalid_value', 'voice');
}
