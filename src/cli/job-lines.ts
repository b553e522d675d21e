// Inputs of jobs: a file of JSON lines, one input per line.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { QUEUE_DEFAULTS } from '../bulk/redis.js';
import { isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';

/**
 * Yields the inputs of a file. An input is the line's JSON, or the member `input` or `text` of an object that has one.
 * Throws FormatError with the line's number for invalid JSON.
 */
export async function* readInputs(path: string): AsyncGenerator<unknown> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      throw new FormatError(`line ${number} of ${path} is not JSON: ${(cause as Error).message}`, { cause });
    }
    const { input, text } = (isObject(value) ? value : {}) as { input?: unknown; text?: unknown };
    yield input ?? text ?? value;
  }
}

/** Adds the options that name a queue. */
export function withQueue(command: Command): Command {
  return command
    .option(
      '--redis <url>',
      'URL of the Redis server that holds the queue; for a cluster, several nodes, separated by commas',
      QUEUE_DEFAULTS.redis,
    )
    .requiredOption('--queue <name>', 'name of the queue')
    .option(
      '--task <name>',
      'task of the jobs: run, for a model that was trained here, or the task of a pipeline',
      QUEUE_DEFAULTS.task,
    );
}

export interface QueueFlags {
  readonly redis: string;
  readonly queue: string;
  readonly task: string;
}
