// Adds a "Run" button to TypeScript blocks that work in a page. The page's worker runs them (theme/run.ts).
import { transformSync } from 'esbuild';
import type MarkdownIt from 'markdown-it';

/** Modules and globals that pages do not have, and pictures, which pages load from a file of their own. */
const NEEDS_NODE =
  /\w+Svg\(|'node:|\bprocess\.|'simdformer\/(server|mpi|bulk|ai-sdk|langchain)'|'(?!simdformer)[\w@][\w@/-]*';$/m;

/** Files of the reader, which a page cannot open by their path, and placeholders for ids. */
const NEEDS_FILES =
  /(?:\b(?:save|load|open)\w*\((?:[^'()]|\(\))*|pipeline\('[\w-]+', )'(?![\w.-]+\/[\w.-]+')|\.(?:wav|png|jpg)'|'org\//;

const isRunnable = (code: string) =>
  /^import .*'simdformer/m.test(code) && !NEEDS_NODE.test(code) && !NEEDS_FILES.test(code);

const escapeHtml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;').replaceAll('{{', '&#123;&#123;');

export function runnable(md: MarkdownIt): void {
  const fence = md.renderer.rules.fence;
  if (!fence) throw new Error('the Markdown renderer has no rule for code blocks');
  md.renderer.rules.fence = (tokens, i, options, env, self) => {
    const html = fence(tokens, i, options, env, self);
    const { info = '', content = '' } = tokens[i] ?? {};
    const follows = tokens[i - 1]?.content.startsWith('<!-- prelude') === true;
    if (!/^ts\b/.test(info) || follows || !isRunnable(content)) return html;
    const { code } = transformSync(content, { loader: 'ts', format: 'esm', target: 'es2022' });
    const active = /\bactive\b/.test(html.match(/^<div class="([^"]*)"/)?.[1] ?? '') ? ' active' : '';
    const controls = '<button type="button" class="run">Run</button><output aria-live="polite" hidden></output>';
    return `<div class="snippet${active}" data-code="${escapeHtml(code)}">${html}${controls}</div>`;
  };
}
