// Peers that several benchmarks use, and instructions for installing them.

import { join } from 'node:path';
import type { Run } from './bench.js';
import type { Contestant, Turn } from './contest.js';
import { type PeerPackage, peerPackage } from './packages.js';
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

const bert = (run: Run, name: string, of: PeerPackage, file: string, by: string): Promise<Peer | null> =>
  run.peer(name, 'It comes from npm, once.', async () => {
    const { folder, version } = peerPackage(of);
    return [Peer.node('bert.mjs', [join(folder, file), by]), version] as const;
  });

export const bertByOnnx = (run: Run) => bert(run, 'ONNX Runtime', 'onnxruntime-node', 'dist/index.js', 'onnx');

export const bertByTransformers = (run: Run) =>
  bert(run, 'transformers.js', '@huggingface/transformers', 'dist/transformers.node.mjs', 'transformers');

export function ctranslate2(run: Run): Promise<Peer | null> {
  const how = 'pip install ctranslate2 transformers torch, and PYTHON=that python';
  return run.peer('CTranslate2', how, async () => {
    const peer = Peer.python('ctranslate2_models.py');
    const { ctranslate2 } = await peer.ask<{ ctranslate2: string }>({ threads: run.threads });
    return [peer, ctranslate2] as const;
  });
}

/** Makes a contestant of a peer that answers such questions. Returns an empty list if the peer is not available. */
export function asContestant(name: string, peer: Peer | null, question: (repeats: number) => unknown): Contestant[] {
  return peer === null ? [] : [{ name, take: (repeats) => peer.ask<Turn>(question(repeats)) }];
}
