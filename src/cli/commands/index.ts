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
import { upscaleCommand } from './upscale.js';
import { workerCommand } from './worker.js';

/** Commands under the headings of the help text. */
export const COMMAND_GROUPS = {
  'Any model:': [infoCommand, runCommand, evalCommand, benchCommand],
  'Models trained here:': [trainCommand, scoreCommand, attentionCommand, mpiCommand],
  'Pretrained models, text:': [chatCommand, embedCommand, classifyCommand, translateCommand],
  'Pretrained models, speech and images:': [
    transcribeCommand,
    speakCommand,
    captionCommand,
    segmentCommand,
    detectCommand,
    depthCommand,
    upscaleCommand,
  ],
  'Changing pretrained models:': [finetuneCommand, mergeCommand, quantizeCommand],
  'Servers and queues:': [serveCommand, mcpCommand, workerCommand, submitCommand, collectCommand],
};

export const COMMANDS = Object.values(COMMAND_GROUPS).flat();
