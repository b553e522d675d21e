// Checks a model without loading its weights, for `info` and scripts/check-hub.mjs.

import type { Device } from '../core/device.js';
import { type CheckOptions, checkModel, type ModelReport } from '../pretrained/check-model.js';
import { supportedTasks } from '../tasks/supported-tasks.js';

/** A report with the pipelines that work with the model. */
export interface CheckedReport extends ModelReport {
  readonly pipelines: readonly string[];
}

/** Compares the headers of a model's files with the tensors of our model. See `checkModel`. */
export async function checkedReport(device: Device, from: string, options: CheckOptions = {}): Promise<CheckedReport> {
  const { report, model, body, dispose } = await checkModel(device, from, options);
  try {
    return { ...report, pipelines: model === null ? [] : await supportedTasks(model, body) };
  } finally {
    dispose();
  }
}

/** Returns the reason why a model does not load, in one line; null if it loads. */
export function misfit({ problem, missing, misshapen, adapter, unexpected }: ModelReport): string | null {
  if (problem !== null) return problem;
  if (missing.length > 0) return `its files lack ${some(missing)}`;
  const [first] = misshapen;
  if (first !== undefined) return `${first.name} is [${first.shape}], expected [${first.expected}] by config.json`;
  return adapter !== null && unexpected.length > 0 ? `the base has no modules for ${some(unexpected)}` : null;
}

/** Returns the report as lines of text. */
export function reportLines(report: CheckedReport): string[] {
  const { fits, parameters, memory, missing, newHead, unexpected, misshapen, pipelines, warnings } = report;
  const reason = misfit(report);
  const lines = [line('loads', fits ? 'yes: every name and shape fits' : `no: ${reason}`)];
  if (missing.length > 0) lines.push(line('missing', listed(missing)));
  for (const { name, shape, expected } of misshapen.slice(0, SHOWN))
    lines.push(line('wrong shape', `${name} is [${shape}], expected [${expected}]`));
  if (newHead.length > 0) lines.push(line('new head', `${listed(newHead)}: drawn at random, train before use`));
  if (unexpected.length > 0) lines.push(line('unused', listed(unexpected)));
  if (memory !== null) {
    const { float32, int8, int4 } = memory;
    lines.push(line('parameters', parameters.toLocaleString('en')));
    lines.push(line('memory', `float32 ${mebibytes(float32)}, int8 ${mebibytes(int8)}, int4 ${mebibytes(int4)}`));
  }
  if (report.problem === null) lines.push(line('pipelines', pipelines.join(', ') || 'none'));
  for (const warning of warnings) lines.push(line('note', warning));
  return lines;
}

/** Maximum number of names that are shown. */
const SHOWN = 8;

const some = (names: readonly string[]) => names.slice(0, 3).join(', ') + (names.length > 3 ? ', …' : '');
const listed = (names: readonly string[]) =>
  `${names.length}: ${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ', …' : ''}`;

/** A line of a table: a label in a column of 16 characters. */
export const line = (label: string, text: string): string => `${label.padEnd(16)} ${text}`;

export const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
