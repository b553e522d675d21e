import { createHash } from 'node:crypto';

/**
 * The id of the job for what stands at a position of a file: of position and content, so that submitting a file again adds
 * nothing, and collecting it finds the results of exactly these inputs.
 */
export function jobId(position: number, task: string, input: unknown): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([task, input]))
    .digest('hex');
  return `${position}-${hash.slice(0, 24)}`;
}
