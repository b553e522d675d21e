// The peers that more than one benchmark has, and how to get them.

import type { Run } from './bench.js';
import type { Contestant, Turn } from './contest.js';
import { peerPackage } from './packages.js';
import { Peer } from './peer.js';

export function pytorch(run: Run, script: string): Promise<Peer | null> {
  return run.peer('PyTorch', 'On Debian: apt install python3-torch libopenblas0-openmp', async () => {
    const peer = Peer.python(script);
    const { torch } = await peer.ask<{ torch: string }>({ threads: run.threads });
    return [peer, torch] as const;
  });
}

export function onnxruntime(run: Run): Promise<Peer | null> {
  return run.peer('ONNX Runtime', 'It comes from npm, once.', async () => {
    const { folder, version } = peerPackage('onnxruntime-node');
    return [Peer.node('onnxruntime.mjs', [folder]), version] as const;
  });
}

/** A peer that answers such questions, as a contestant; none if it could not be had. */
export function asContestant(name: string, peer: Peer | null, question: (repeats: number) => unknown): Contestant[] {
  return peer === null ? [] : [{ name, take: (repeats) => peer.ask<Turn>(question(repeats)) }];
}
