// Pipelines over HTTP. Bodies and answers have the form of Hugging Face's Inference API: `inputs` and `parameters`.

import { isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { encodeImage } from '../pretrained/processors/decode-image.js';
import { RawImage, type TaskName } from '../tasks/index.js';
import { type Call, type Endpoint, endpoint, type Reply } from './endpoint.js';
import { ApiError } from './errors.js';
import { mediaOf } from './images.js';
import type { ModelPool } from './model-pool.js';
import { UnsupportedTaskError } from './pipeline-runner.js';
import {
  array,
  boolean,
  integer,
  type JsonSchema,
  nameOf,
  number,
  object,
  oneOf,
  optional,
  pair,
  type Read,
  type Schema,
  string,
} from './schema.js';

/** Maximum number of labels, points and boxes of a request. */
const MAX_ITEMS = 256;
/** Maximum number of points on a side of mask-generation's grid, which is transformers' default. */
const MAX_GRID = 32;

const media = string({
  minLength: 1,
  description: 'The file: base64, a data URL, or the address of an image at a host that the operator allows.',
});
const topK = optional(integer({ min: 1, max: 10_000, description: 'The number of classes.' }));
const ratio = optional(number({ min: 0, max: 1 }));
const percentage = optional(boolean('True if boxes are shares of the image. Default: pixels.'));
const labels = array(string({ minLength: 1, maxLength: 1024 }), { min: 1, max: MAX_ITEMS });
const template = optional(string({ minLength: 2, maxLength: 1024 }));
const wordBox = pair(string({ maxLength: 1024 }), array(integer({ min: 0, max: 1000 }), { min: 4, max: 4 }));
const coordinate = number({ min: -1e6, max: 1e6 });

/** The inputs and parameters of a task. */
interface Served {
  readonly inputs: Schema<string | { image: string; question: string }>;
  readonly parameters: Readonly<Record<string, Schema>>;
  /** Parameter that is an argument of the task. Others are its options. */
  readonly argument?: 'candidate_labels';
}

/** The tasks that read images and sounds. Those of texts have endpoints of their own. */
const TASKS = {
  'audio-classification': { inputs: media, parameters: { top_k: topK } },
  'background-removal': { inputs: media, parameters: {} },
  'depth-estimation': { inputs: media, parameters: {} },
  'document-question-answering': {
    inputs: object({ image: media, question: string({ minLength: 1, maxLength: 8192 }) }),
    parameters: {
      max_new_tokens: optional(integer({ min: 1, max: 4096 })),
      top_k: optional(integer({ min: 1, max: MAX_ITEMS, description: 'The number of answers in word_boxes.' })),
      word_boxes: optional(array(wordBox, { min: 1, max: 16_384 })),
    },
  },
  'image-classification': { inputs: media, parameters: { top_k: topK } },
  'image-feature-extraction': { inputs: media, parameters: {} },
  'image-segmentation': {
    inputs: media,
    parameters: {
      subtask: optional(oneOf(['panoptic', 'instance', 'semantic'])),
      threshold: ratio,
      mask_threshold: ratio,
      overlap_mask_area_threshold: ratio,
      label_ids_to_fuse: optional(array(integer({ min: 0, max: 100_000 }), { min: 1, max: MAX_ITEMS })),
    },
  },
  'image-to-image': { inputs: media, parameters: {} },
  'image-to-text': { inputs: media, parameters: { max_new_tokens: optional(integer({ min: 1, max: 4096 })) } },
  'mask-generation': {
    inputs: media,
    parameters: {
      points_per_crop: optional(integer({ min: 1, max: MAX_GRID })),
      pred_iou_thresh: ratio,
      stability_score_thresh: ratio,
      input_points: optional(
        array(array(array(coordinate, { min: 2, max: 2 }), { min: 1, max: MAX_ITEMS }), { min: 1, max: MAX_ITEMS }),
      ),
      input_labels: optional(
        array(array(integer({ min: 0, max: 1 }), { min: 1, max: MAX_ITEMS }), { min: 1, max: MAX_ITEMS }),
      ),
      input_boxes: optional(array(array(coordinate, { min: 4, max: 4 }), { min: 1, max: MAX_ITEMS })),
    },
  },
  'object-detection': { inputs: media, parameters: { threshold: ratio, percentage } },
  'zero-shot-audio-classification': {
    inputs: media,
    parameters: { candidate_labels: labels, hypothesis_template: template },
    argument: 'candidate_labels',
  },
  'zero-shot-image-classification': {
    inputs: media,
    parameters: { candidate_labels: labels, hypothesis_template: template },
    argument: 'candidate_labels',
  },
  'zero-shot-object-detection': {
    inputs: media,
    parameters: { candidate_labels: labels, threshold: ratio, top_k: topK, percentage },
    argument: 'candidate_labels',
  },
} as const satisfies Partial<Record<TaskName, Served>>;

export type ServedTask = keyof typeof TASKS;

/** One endpoint for each task: `/v1/pipelines/object-detection`. */
export function pipelines(models: ModelPool): Endpoint[] {
  const name = nameOf(models.namesOf(() => true));
  return (Object.keys(TASKS) as ServedTask[]).map((task) => pipelineOf(task, TASKS[task], name));
}

const pipelineBody = ({ inputs, parameters, argument }: Served, model: Schema<string>) => {
  const parameterFields = object(parameters);
  return object({ model, inputs, parameters: argument === undefined ? optional(parameterFields) : parameterFields });
};

type Body = Read<ReturnType<typeof pipelineBody>>;

function pipelineOf(task: ServedTask, served: Served, name: Schema<string>): Endpoint {
  return endpoint({
    method: 'post',
    path: `/v1/pipelines/${task}`,
    operationId: `run${task.replace(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary: `Runs ${task}. The answer is the pipeline's result. Images in it are PNG files in base64.`,
    body: pipelineBody(served, name),
    response: ANSWER,
    handle: (call) => answer(task, served, call as Call<Body>),
  });
}

/** The result of a task: an object or a list of objects, and a PNG file for background-removal. */
const ANSWER: JsonSchema = { type: ['object', 'array', 'string'] };

async function answer(
  task: ServedTask,
  { argument }: Served,
  { body, client, signal, use }: Call<Body>,
): Promise<Reply> {
  const { id, pipelines, imageHosts } = await use(body.model);
  const { inputs } = body;
  const isPage = typeof inputs !== 'string';
  const file = await mediaOf(isPage ? inputs.image : inputs, imageHosts, 'inputs', signal);
  const { [argument ?? '']: first, ...options } = (body.parameters ?? {}) as Record<string, unknown>;
  const definedOptions = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const more = isPage ? [inputs.question] : first === undefined ? [] : [first];
  try {
    return { json: await jsonOf(await pipelines.run(task, [file, ...more], definedOptions, client, signal)) };
  } catch (error) {
    if (error instanceof UnsupportedTaskError)
      throw new ApiError(400, `The model '${id}' does not do ${task}: ${error.message}`, 'unsupported_model', 'model');
    if (error instanceof FormatError) throw new ApiError(400, `'inputs': ${error.message}`, 'invalid_value', 'inputs');
    throw error;
  }
}

/** Converts a result to JSON. Images become PNG files in base64, arrays of numbers their bytes in base64. */
async function jsonOf(value: unknown): Promise<unknown> {
  if (Array.isArray(value)) return Promise.all(value.map(jsonOf));
  if (!isObject(value)) return value;
  if (value instanceof RawImage) return Buffer.from(await encodeImage(value)).toString('base64');
  if (isTensor(value)) {
    const { data, dims, type } = value;
    return { type, dims, data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') };
  }
  const entries = await Promise.all(Object.entries(value).map(async ([key, member]) => [key, await jsonOf(member)]));
  return Object.fromEntries(entries);
}

const isTensor = (value: object): value is { data: Float32Array; dims: readonly number[]; type: string } =>
  'dims' in value && 'data' in value;
