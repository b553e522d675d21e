// Links of pages that lead out of docs/. On the site they lead to the page that shows the file, or become plain text.
import type MarkdownIt from 'markdown-it';
import type { Token } from 'markdown-it';
import { included } from './sections.mjs';

/** The site's page for a link from a page in docs/ or docs/site/. Returns null if the file is not a page. */
function pageOf(target: string, isInSite: boolean): string | null {
  const name = included[target.replace(/^(\.\.\/)+/, '')];
  if (name === undefined) return null;
  return isInSite ? `./${name}.md` : `./site/${name}.md`;
}

/**
 * Changes a link that leads out of docs/: to the page that shows its target, or to plain text if there is none. Returns
 * true if it became text.
 */
function mapLink(token: Token, isInSite: boolean): boolean {
  const target = token.attrGet('href') ?? '';
  if (!target.startsWith(isInSite ? '../../' : '../')) return false;
  const page = pageOf(target, isInSite);
  if (page !== null) token.attrSet('href', page);
  else {
    token.type = 'span_open';
    token.tag = 'span';
    token.attrs = [['title', `${target.replace(/^(\.\.\/)+/, '')} in the repository`]];
  }
  return page === null;
}

/** Changes links to files outside docs/. The path of a file that is not a page is the tooltip of its text. */
export function mapLinks(md: MarkdownIt): void {
  md.core.ruler.push('links out of docs', ({ tokens, env }) => {
    const isInSite = `${env.relativePath}`.startsWith('site/');
    for (const { children } of tokens) {
      let isText = false;
      for (const token of children ?? []) {
        if (token.type === 'link_open') isText = mapLink(token, isInSite);
        else if (token.type === 'link_close' && isText) {
          isText = false;
          token.type = 'span_close';
          token.tag = 'span';
        }
      }
    }
  });
}
