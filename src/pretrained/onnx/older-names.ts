// Names in graphs of transformers 5, which gave modules of vision models new names. State dicts keep those of version
// 4.

const PROJECTIONS: Readonly<Record<string, string>> = { q: 'query', k: 'key', v: 'value' };

/** Returns the possible names of a parameter in state dicts; empty if version 5 did not change the name. */
export function olderNames(name: string): string[] {
  const inLayer = name.replace(/(?<=^|\.)layers(?=\.\d+\.(attention|layernorm_|mlp|lambda_))/, 'encoder.layer');
  const ofFeedForward = inLayer.replace('.mlp.fc1.', '.intermediate.dense.').replace('.mlp.fc2.', '.output.dense.');
  const found = [inLayer, ofFeedForward].flatMap((candidate) => {
    const path = candidate.replace('.attention.o_proj.', '.attention.output.dense.');
    return ['attention', 'self'].map((scope) =>
      path
        .replace(/\.attention\.([qkv])_proj\./, (_, part: string) => `.attention.${scope}.${PROJECTIONS[part]}.`)
        .replace(
          '.attention.relative_position_bias.',
          scope === 'self' ? '.attention.self.' : '.attention.attention.relative_position_bias.',
        ),
    );
  });
  return [...new Set(found)].filter((candidate) => candidate !== name);
}
