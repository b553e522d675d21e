// Hierarchical clustering by Ward's method (Ward 1963), with scipy's order of clusters: scipy.cluster.hierarchy.

/** A merge of two clusters: items are numbered from 0, the cluster of merge i is n + i. */
interface Merge {
  left: number;
  right: number;
  readonly distance: number;
}

/**
 * Divides items into at most `max` clusters. `distances` is symmetric, [n, n], row by row. Returns the cluster of each
 * item. Clusters are numbered from 0 in the order of scipy's `fcluster`.
 */
export function wardClusters(distances: Float64Array, n: number, max: number): Int32Array {
  const merges = labelled(mergesOf(distances.slice(), n), n);
  // The lower bound leaves too many clusters, the upper one does not.
  let [lower, upper] = [-1, n - 2];
  while (upper - lower > 1) {
    const middle = (lower + upper) >> 1;
    const threshold = (merges[middle] as Merge).distance;
    const clusters = n - merges.filter(({ distance }) => distance <= threshold).length;
    if (clusters > max) lower = middle;
    else upper = middle;
  }
  return numbered(merges, n, merges[upper]?.distance ?? Number.POSITIVE_INFINITY);
}

/**
 * Merges by chains of nearest neighbours (Müllner 2011, arXiv 1109.2378), in ascending order. `left`, `right`: items.
 */
function mergesOf(d: Float64Array, n: number): Merge[] {
  const sizes = new Float64Array(n).fill(1);
  const merges: Merge[] = [];
  const chain: number[] = [];
  while (merges.length < n - 1) {
    if (chain.length === 0) chain.push(sizes.findIndex((size) => size > 0));
    const [x, y, distance] = grown(chain, d, sizes, n);
    chain.length -= 2;
    const [first, last] = x < y ? [x, y] : [y, x];
    const [nx, ny] = [sizes[first] as number, sizes[last] as number];
    merges.push({ left: first, right: last, distance });
    sizes[first] = 0;
    sizes[last] = nx + ny;
    for (let i = 0; i < n; i++) {
      const ni = sizes[i] as number;
      if (ni === 0 || i === last) continue;
      const [dx, dy] = [d[i * n + first] as number, d[i * n + last] as number];
      const t = 1 / (nx + ny + ni);
      const joined = Math.sqrt((ni + nx) * t * dx * dx + (ni + ny) * t * dy * dy - ni * t * distance * distance);
      d[i * n + last] = joined;
      d[last * n + i] = joined;
    }
  }
  return merges.sort((a, b) => a.distance - b.distance);
}

/** Lengthens a chain until its last two clusters are nearest to each other. Returns both, and their distance. */
function grown(chain: number[], d: Float64Array, sizes: Float64Array, n: number): [number, number, number] {
  for (;;) {
    const x = chain.at(-1) as number;
    const before = chain.at(-2);
    let [y, min] = before === undefined ? [-1, Number.POSITIVE_INFINITY] : [before, d[x * n + before] as number];
    for (let i = 0; i < n; i++)
      if (sizes[i] !== 0 && i !== x && (d[x * n + i] as number) < min) [y, min] = [i, d[x * n + i] as number];
    if (y === before) return [x, y, min];
    chain.push(y);
  }
}

/** Replaces items by the clusters that contain them at the time of the merge. */
function labelled(merges: Merge[], n: number): Merge[] {
  const parents = Int32Array.from({ length: 2 * n - 1 }, (_, i) => i);
  const rootOf = (item: number): number => {
    let root = item;
    while (parents[root] !== root) root = parents[root] as number;
    return root;
  };
  for (const [i, merge] of merges.entries()) {
    const roots = [rootOf(merge.left), rootOf(merge.right)].sort((a, b) => a - b) as [number, number];
    [merge.left, merge.right] = roots;
    for (const root of roots) parents[root] = n + i;
  }
  return merges;
}

/** The cluster of each item, where merges up to a distance join clusters, in the order of a walk through the tree. */
function numbered(merges: readonly Merge[], n: number, distance: number): Int32Array {
  const clusters = new Int32Array(n);
  let count = 0;
  /** Subtrees that are due, and the cluster around each; null if there is none. Inner ones come before items. */
  const due: (readonly [node: number, cluster: number | null])[] = [[2 * n - 2, null]];
  while (due.length > 0) {
    const [node, around] = due.pop() as (typeof due)[number];
    if (node < n) {
      clusters[node] = around ?? count++;
      continue;
    }
    const { left, right, distance: mergeDistance } = merges[node - n] as Merge;
    const cluster = around ?? (mergeDistance <= distance ? count++ : null);
    const inner = [left, right].filter((child) => child >= n);
    const items = [left, right].filter((child) => child < n);
    for (const child of [...inner, ...items].reverse()) due.push([child, cluster]);
  }
  return clusters;
}
