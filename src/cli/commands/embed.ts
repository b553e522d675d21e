import { Command, Option } from 'commander';
import type { Pooling } from '../../tasks/index.js';
import { openDevice } from '../common.js';
import { example } from '../help.js';
import type { ResultFormat } from '../line-jobs.js';
import { checkReadable } from '../lines.js';
import { formatOf, jsonLines, npyRows, textLines } from '../result-formats.js';
import { stopping } from '../stopping.js';
import { loadPipeline, runTextJob, type TextJobOptions, textJobCommand } from '../text-jobs.js';

interface EmbedOptions extends TextJobOptions {
  pooling: Exclude<Pooling, 'none'>;
  normalize?: boolean;
  prompt?: string;
  promptName?: string;
}

interface Embedded {
  readonly text: string;
  readonly embedding: Float32Array;
}

const POOLINGS = ['model', 'mean', 'cls', 'last_token'];

export function embedCommand(): Command {
  return textJobCommand(new Command('embed').description('compute embeddings of texts'), ['text', 'jsonl', 'npy'])
    .addOption(
      new Option('--pooling <how>', 'pooling of the token vectors: the method of the model, or another')
        .choices(POOLINGS)
        .default('model'),
    )
    .option('--normalize', 'normalize vectors to length 1')
    .option('--prompt <text>', 'text to put before each text (default: none)')
    .option('--prompt-name <name>', "name of one of the model's prompts, such as query (default: none)")
    .addHelpText('after', example('embed sentence-transformers/all-MiniLM-L6-v2 texts.txt -o vectors.npy'))
    .action(async (model: string, files: string[], options: EmbedOptions, command: Command) => {
      const { pooling, normalize = false, batch: batchSize, revision, prompt, promptName } = options;
      const prompts = { prompt, prompt_name: promptName };
      await checkReadable(files);
      using device = await openDevice(command);
      using stop = stopping();
      await using extract = await loadPipeline('feature-extraction', model, { device, revision, stop });
      await runTextJob<Embedded>(files, options, stop, {
        settings: {
          command: 'embed',
          model,
          revision: revision ?? null,
          pooling,
          normalize,
          ...(prompt !== undefined && { prompt }),
          ...(promptName !== undefined && { prompt_name: promptName }),
          format: formatNamed(options),
        },
        format: formats[formatNamed(options)],
        async compute(texts) {
          const vectors = await extract(texts, { pooling, normalize, batchSize, ...prompts });
          return texts.map((text, i) => ({ text, embedding: vectors.at(i).data }));
        },
      });
    });
}

const formats = {
  text: textLines<Embedded>(({ embedding }) => embedding.join(' ')),
  jsonl: jsonLines<Embedded>(({ text, embedding }) => ({ text, embedding: Array.from(embedding) })),
  npy: npyRows<Embedded>(({ embedding }) => embedding),
} as const satisfies Record<string, ResultFormat<Embedded>>;

function formatNamed({ format, out }: EmbedOptions): keyof typeof formats {
  return (format as keyof typeof formats | undefined) ?? formatOf(out) ?? 'text';
}
