import { anyOf, checkFunction, checkKnown, checkOptions, describeValue } from '../core/check.js';
import { createDevice } from '../core/create-device.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { PretrainedModel } from '../models/pretrained-model.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../pretrained/load-later.js';
import type { ModelLocation } from '../pretrained/open-source.js';
import type { Processor } from '../pretrained/processors/load-processor.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { type CallOf, defaultModel, type TaskName, type TasksByName, taskOf } from './registry.js';
import type { TextlessTask } from './task.js';
import { tokenizerOf } from './text-inputs.js';
import { env, localOr } from './transformers/env.js';

/** Argument of `progress_callback`, in the form of transformers.js. */
export type PipelineProgress =
  | {
      readonly status: 'progress';
      /** The model. */
      readonly name: string;
      readonly file: string;
      /** Percentage of the bytes that were loaded, from 0 to 100. */
      readonly progress: number;
      /** Bytes. */
      readonly loaded: number;
      readonly total: number;
    }
  | { readonly status: 'ready'; readonly task: string; readonly model: string };

/** Processors that transformers.js can use, and simdformer cannot. */
const OTHER_PROCESSORS = [
  'gpu',
  'webgpu',
  'cuda',
  'dml',
  'coreml',
  'webnn',
  'webnn-cpu',
  'webnn-gpu',
  'webnn-npu',
] as const;
type OtherProcessor = (typeof OTHER_PROCESSORS)[number];

export interface PipelineOptions extends Omit<LoadModelOptions, 'head' | 'labels' | 'onnxFile'> {
  /**
   * A device, or the name of a device that the pipeline opens, and closes in `dispose()`. `native` is the addon, `wasm`
   * is WebAssembly, `auto` and `cpu` are the best of these that loads here. Names of other processors in
   * transformers.js, such as `webgpu`, mean `auto`, with a warning, because everything is computed on the CPU. Default:
   * 'auto'.
   */
  device?: Device | 'auto' | 'cpu' | 'native' | 'wasm' | OtherProcessor | undefined;
  /** Same as `cacheDir`, by the name of transformers.js. */
  cache_dir?: string | undefined;
  /** Same as `onProgress`, by the name and in the form of transformers.js. */
  progress_callback?: ((progress: PipelineProgress) => void) | undefined;
  /** True to use only local folders, as with `env.allowRemoteModels = false`. Default: false. */
  local_files_only?: boolean | undefined;
  /** The folder of ONNX files. Default: `onnx`, or else the model's folder. */
  subfolder?: string | undefined;
  /**
   * The name of the ONNX file without the ending of its variant. Default: that of the model's kind, such as `model`.
   */
  model_file_name?: string | undefined;
  /** Settings of ONNX Runtime. They have no effect. */
  session_options?: object | undefined;
  /** True, or a number of files. It has no effect, because external data are found. */
  use_external_data_format?: boolean | number | Readonly<Record<string, boolean | number>> | undefined;
}

/** A task whose models may lack a tokenizer. */
export type TokenlessTask = {
  [Name in TaskName]: TasksByName[Name] extends TextlessTask<CallOf<Name>> ? Name : never;
}[TaskName];

/** A task that is ready to be called. */
export type Pipeline<Name extends TaskName = TaskName> = CallOf<Name> & {
  readonly task: Name;
  readonly model: LoadedModel;
  /** Null for a task that reads no text. */
  readonly tokenizer: Name extends TokenlessTask ? PretrainedTokenizer | null : PretrainedTokenizer;
  readonly processor: Processor | null;
  readonly device: Device;
  /**
   * Frees the model and the device that the pipeline loaded and opened. A model or a device that the caller gave stays
   * open.
   */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/**
 * Makes a function for a task, with the names of transformers.js.
 *
 * ```ts
 * const extract = await pipeline('feature-extraction', 'sentence-transformers/all-MiniLM-L6-v2');
 * const { data, dims } = await extract(['a cat', 'a dog'], { pooling: 'mean', normalize: true }); // dims is [2, 384]
 * ```
 *
 * `model` is a folder, a hub id, a GGUF file, files by name, or a loaded model with the head of the task. Default: a
 * small model from the hub; docs/pipelines.md lists them. Any number of inputs is computed in batches, off the calling
 * thread. Throws ArgumentError for an unknown task and invalid options. Throws FormatError for a model that lacks a
 * part of the task, such as a tokenizer, and the errors of `loadModel`.
 */
export async function pipeline<Name extends TaskName>(
  task: Name,
  model: ModelLocation | LoadedModel | null = null,
  options: PipelineOptions = {},
): Promise<Pipeline<Name>> {
  const chosen = await taskOf(task);
  const location = model ?? defaultModel(task);
  const { model: loaded, close } = await openModel('pipeline', task, location, chosen.head, options);
  try {
    if (chosen.needs?.tokenizer ?? true) tokenizerOf({ task, model: loaded });
    const call = chosen.create({ task, model: loaded });
    options.progress_callback?.({ status: 'ready', task, model: nameOf(location) });
    const dispose = async () => close();
    const { tokenizer, processor, device } = loaded;
    const members = { task, model: loaded, tokenizer, processor, device, dispose, [Symbol.asyncDispose]: dispose };
    return Object.assign(call, members) as unknown as Pipeline<Name>;
  } catch (error) {
    close();
    throw error;
  }
}

/** A model, and a function that frees the resources that were opened for it. */
interface OpenedModel {
  readonly model: LoadedModel;
  close(): void;
}

/**
 * Loads a model for a task on the device that the options name, or takes a loaded model. `op` begins messages. Rejects
 * as `pipeline`, and then closes what it opened.
 */
export async function openModel(
  op: string,
  task: string,
  model: ModelLocation | LoadedModel,
  head: LoadModelOptions['head'],
  options: PipelineOptions,
): Promise<OpenedModel> {
  await checkNames(op, options);
  const { device: requestedDevice, ...load } = loadOptions(op, task, model, options);
  if (model instanceof PretrainedModel) {
    checkNothingToLoad(op, options);
    return { model: withHead(op, task, model, head, requestedDevice), close: () => {} };
  }
  const opened: { dispose(): void }[] = [];
  const close = () => {
    for (const resource of opened.splice(0).reverse()) resource.dispose();
  };
  try {
    const device =
      typeof requestedDevice === 'object' ? requestedDevice : await openDevice(op, requestedDevice, load.onWarning);
    if (device !== requestedDevice) opened.push(device);
    const isLocal = options.local_files_only === true;
    const read = await loadModel<PretrainedModel>(device, await localOr(model as ModelLocation, isLocal), {
      ...load,
      head,
    });
    opened.push(read);
    if (read instanceof PretrainedModel) return { model: read, close };
    throw new ArgumentError(`${op}: ${String(model)} is a Transformer, expected a model in Hugging Face's format`);
  } catch (error) {
    close();
    throw error;
  }
}

/** Options of transformers.js that `loadModel` has by other names, or not at all. */
const TRANSFORMERS_JS = {
  cache_dir: 'string',
  local_files_only: 'boolean',
  subfolder: 'string',
  model_file_name: 'string',
  session_options: 'object',
  use_external_data_format: anyOf('boolean', 'whole', 'object'),
} as const;

/** Throws ArgumentError for unknown options, and for those of `loadModel` that a task chooses itself. */
async function checkNames(op: string, options: PipelineOptions): Promise<void> {
  const { loadOptionNames } = await import('../pretrained/load-model.js');
  const chosen: readonly string[] = ['head', 'labels', 'onnxFile'];
  const names = loadOptionNames.filter((name) => !chosen.includes(name));
  const ownNames = [...Object.keys(TRANSFORMERS_JS), 'device', 'progress_callback'];
  checkKnown(op, options, [...names, ...ownNames] as (keyof PipelineOptions)[]);
}

/** Returns the options for `loadModel`. */
function loadOptions(op: string, task: string, model: unknown, options: PipelineOptions): PipelineOptions {
  const { cache_dir: folder, progress_callback: tell, ...others } = checkOptions(op, options);
  const { local_files_only, subfolder, model_file_name, session_options, use_external_data_format, ...loadSettings } =
    others;
  const transformersOptions = {
    local_files_only,
    subfolder,
    model_file_name,
    session_options,
    use_external_data_format,
  };
  checkOptions(op, { cache_dir: folder, ...transformersOptions }, TRANSFORMERS_JS);
  const cache_dir = folder ?? env.cacheDir ?? undefined;
  const file = [subfolder ?? 'onnx', model_file_name ?? 'model'].filter((part) => part !== '').join('/');
  const isNamed = subfolder !== undefined || model_file_name !== undefined;
  const load = isNamed ? { ...loadSettings, onnxFile: file } : loadSettings;
  if (tell === undefined) return cache_dir === undefined ? load : { cacheDir: cache_dir, ...load };
  checkFunction(`${op}: progress_callback of ${task}`, tell);
  const name = nameOf(model);
  const onProgress: LoadModelOptions['onProgress'] = (progress) => {
    const { file, loaded, total } = progress;
    tell({ status: 'progress', name, file, progress: (100 * loaded) / total, loaded, total });
    load.onProgress?.(progress);
  };
  return { cacheDir: cache_dir, ...load, onProgress };
}

function nameOf(model: unknown): string {
  return typeof model === 'string' || model instanceof URL ? String(model) : 'given';
}

async function openDevice(
  op: string,
  name: unknown = 'auto',
  onWarning: LoadModelOptions['onWarning'] = console.warn,
): Promise<Device> {
  if (OTHER_PROCESSORS.some((other) => other === name)) {
    onWarning(`${op}: there is no device ${name} here: everything is computed on the CPU`, 'ignored-setting');
    return createDevice();
  }
  const backends = { auto: 'auto', cpu: 'auto', native: 'native', wasm: 'wasm' } as const;
  const known = Object.keys(backends);
  if (!known.includes(name as string)) {
    const otherNames = OTHER_PROCESSORS.join(', ');
    const expected = `a device or one of ${known.join(', ')}. Everything is computed on the CPU: ${otherNames} mean auto`;
    throw new ArgumentError(`${op}: device is ${describeValue(name)}, expected ${expected}`);
  }
  return createDevice({ backend: backends[name as keyof typeof backends] });
}

/** Throws ArgumentError for options of loading, which have no effect on a loaded model. */
function checkNothingToLoad(op: string, options: PipelineOptions): void {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const [name] = given.find(([option]) => option !== 'device' && option !== 'progress_callback') ?? [];
  if (name !== undefined)
    throw new ArgumentError(`${op}: the model is loaded already, expected no option ${name}: give it to loadModel`);
}

/** Returns a loaded model if it has the head of the task. Throws ArgumentError otherwise. */
function withHead(
  op: string,
  task: string,
  model: LoadedModel,
  head: LoadModelOptions['head'],
  device: PipelineOptions['device'],
): LoadedModel {
  if (head !== undefined && model.headKind !== head)
    throw new ArgumentError(`${op}: ${task} needs a model with head '${head}', this one has '${model.headKind}'`);
  if (device === undefined || device === model.device) return model;
  throw new ArgumentError(`${op}: device differs from that of the loaded model, expected no option device`);
}
