import type { Pronunciation } from '../../pronounce.js';

export type Fate = 'alive' | 'finished' | 'pruned';

/** A hypothesis of beam search, possibly unfinished. */
export interface BeamNode {
  readonly key: string;
  readonly parent: BeamNode | null;
  readonly token: number;
  /** Sum of the log-probabilities up to here. */
  readonly sum: number;
  /** Sum / length^lengthPenalty: the score of a finished hypothesis. */
  readonly score: number;
  readonly fate: Fate;
  /** Tokens from the root on. */
  readonly depth: number;
  /** Index from the top of its column. */
  readonly rank: number;
  /** True if it leads to the answer. */
  readonly best: boolean;
  readonly children: BeamNode[];
}

/**
 * Tree of a beam search, as columns by depth. Inputs of the decoder show the live hypotheses, and results the finished
 * ones. The best of the rest were pruned.
 */
export function beamTree(said: Pronunciation): BeamNode[][] {
  const { asked, hypotheses, target, read, model, decoding } = said;
  const penalty = decoding.kind === 'beam' ? decoding.lengthPenalty : 1;
  const beams = decoding.kind === 'beam' ? decoding.beams : 1;
  const root = asked[0];
  if (root === undefined) return [];
  const begin = root.read.length;
  const [end] = model.transformer.endIds;
  const alive = new Set(asked.map(({ read }) => read.join(' ')));
  const start = read[0] as number;
  const answer = [start, ...target, end].join(' ');
  const finished = new Map(
    hypotheses.map(({ tokens, score, ended }) => [[start, ...tokens, ...(ended ? [end] : [])].join(' '), score]),
  );
  const onTheWay = (key: string) => answer === key || answer.startsWith(`${key} `);

  const node = (parent: BeamNode | null, read: readonly number[], sum: number, fate: Fate): BeamNode => {
    const key = read.join(' ');
    const length = Math.max(1, read.length - 1);
    const score = finished.get(key) ?? sum / length ** penalty;
    const [token, depth] = [read.at(-1) as number, read.length - begin];
    return { key, parent, token, sum, score, fate, depth, rank: 0, best: onTheWay(key), children: [] };
  };

  const columns: BeamNode[][] = [[node(null, root.read, 0, 'alive')]];
  const answers = new Map(asked.map(({ read, logProbabilities }) => [read.join(' '), { read, logProbabilities }]));
  for (let depth = 0; columns[depth] !== undefined; depth++) {
    const found: BeamNode[] = [];
    for (const parent of columns[depth] as BeamNode[]) {
      const answer = parent.fate === 'alive' ? answers.get(parent.key) : undefined;
      answer?.logProbabilities.forEach((logProbability, token) => {
        const read = [...answer.read, token];
        const key = read.join(' ');
        const fate = finished.has(key) ? 'finished' : alive.has(key) ? 'alive' : 'pruned';
        found.push(node(parent, read, parent.sum + logProbability, fate));
      });
    }
    if (found.length === 0) break;
    columns.push(keep(found, beams));
  }
  for (const child of columns.flat()) child.parent?.children.push(child);
  return columns;
}

/** Keeps all live and finished hypotheses, and the best few of the pruned ones, sorted by their sums. */
function keep(found: readonly BeamNode[], pruned: number): BeamNode[] {
  const sorted = [...found].sort((a, b) => b.sum - a.sum);
  const lost = sorted.filter(({ fate }) => fate === 'pruned').slice(0, pruned);
  const kept = sorted.filter((node) => node.fate !== 'pruned' || lost.includes(node));
  return kept.map((node, rank) => ({ ...node, rank }));
}
