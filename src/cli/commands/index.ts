// The commands, in the order of the help text.

import { attentionCommand } from './attention.js';
import { benchCommand } from './bench.js';
import { captionCommand } from './caption.js';
import { chatCommand } from './chat.js';
import { classifyCommand } from './classify.js';
import { collectCommand } from './collect.js';
import { depthCommand } from './depth.js';
import { detectCommand } from './detect.js';
import { embedCommand } from './embed.js';
import { evalCommand } from './eval.js';
import { finetuneCommand } from './finetune.js';
import { infoCommand } from './info.js';
import { mcpCommand } from './mcp.js';
import { mergeCommand } from './merge.js';
import { mpiCommand } from './mpi.js';
import { quantizeCommand } from './quantize.js';
import { runCommand } from './run.js';
import { scoreCommand } from './score.js';
import { segmentCommand } from './segment.js';
import { serveCommand } from './serve.js';
import { speakCommand } from './speak.js';
import { submitCommand } from './submit.js';
import { trainCommand } from './train.js';
import { transcribeCommand } from './transcribe.js';
import { translateCommand } from './translate.js';
import { workerCommand } from './worker.js';

export const COMMANDS = [
  infoCommand,
  trainCommand,
  finetuneCommand,
  runCommand,
  embedCommand,
  classifyCommand,
  translateCommand,
  transcribeCommand,
  speakCommand,
  captionCommand,
  segmentCommand,
  detectCommand,
  depthCommand,
  chatCommand,
  scoreCommand,
  attentionCommand,
  evalCommand,
  benchCommand,
  mergeCommand,
  quantizeCommand,
  mpiCommand,
  serveCommand,
  mcpCommand,
  workerCommand,
  submitCommand,
  collectCommand,
];
