// Information on a folder or a hub id in the layout of Hugging Face, from headers only.

import { type CheckedReport, line, mebibytes, reportLines } from './checked-model.js';
import { printJson } from './common.js';

/** Prints the architecture, the sizes of weights per type, the tokenizer, and if the model loads. */
export function printReport(report: CheckedReport, isJson: boolean): void {
  const { name, architectures, type, adapter, bytes, types, packed, tokenizer, chatTemplate } = report;
  if (isJson) {
    const { adapter: _, type: __, architectures: ___, ...others } = report;
    printJson({ ...(adapter === null ? { type, architectures } : { adapter }), ...others });
    return;
  }
  console.log(line('model', name));
  if (adapter !== null) {
    const { kind, base, r, alpha, targets, modulesToSave } = adapter;
    console.log(line('adapter', `${kind}, r ${r}, alpha ${alpha}`));
    console.log(line('base', base));
    console.log(line('targets', targets.join(', ')));
    if (modulesToSave.length > 0) console.log(line('saved whole', modulesToSave.join(', ')));
  } else console.log(line('architecture', `${type}, ${architectures.join(', ') || 'no head'}`));
  console.log(line('weights', mebibytes(bytes)));
  for (const [dtype, { tensors, bytes: of }] of Object.entries(types))
    console.log(
      line(dtype, `${tensors.toLocaleString('en')} ${tensors === 1 ? 'tensor' : 'tensors'}, ${mebibytes(of)}`),
    );
  if (packed !== null) console.log(line('packed as', packed.join(', ')));
  console.log(line('tokenizer', tokenizer ? 'yes' : 'no'));
  console.log(line('chat template', chatTemplate ? 'yes' : 'none'));
  for (const text of reportLines(report)) console.log(text);
}
