import { createHash } from 'node:crypto';

/**
 * Id of the job for a position of a file, made from position and content. Submitting a file again therefore adds
 * nothing, and collecting it finds the results of exactly these inputs.
 */
export function jobId(position: number, task: string, input: unknown): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([task, input]))
    .digest('hex');
  return `${position}-${hash.slice(0, 24)}`;
}
