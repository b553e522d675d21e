import { defineConfig } from 'vitepress';
import apiSidebar from '../api/typedoc-sidebar.json' with { type: 'json' };
import { mapLinks } from './links.js';
import { runnable } from './runnable.js';
import { guides } from './sections.mjs';

/** Each part of the API has a sidebar of its own: one of all 600 exports would be most of every page. */
const api = Object.fromEntries([
  ...apiSidebar.map(({ text, link, items }) => [`/api/${text}/`, [{ text, link, items }]] as const),
  ['/api/', [{ text: 'API', items: apiSidebar.map(({ text, link }) => ({ text, link })) }]],
]);

/** Pages get shared memory, and thus threads, from hosts that send these headers. */
const isolated = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  title: 'simdformer',
  description: 'Load, run, train, fine-tune, quantize and serve Transformers in Node and in the browser.',
  lang: 'en',
  base: process.env.DOCS_BASE ?? '/',
  cleanUrls: false, // works on every static host
  lastUpdated: false,
  srcExclude: ['node_modules/**', 'examples/**'], // TypeDoc shows the examples,
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: (md) => {
      mapLinks(md);
      runnable(md);
    },
  },
  themeConfig: {
    nav: [
      { text: 'Start', link: '/' },
      { text: 'Guides', link: '/install' },
      { text: 'API', link: '/api/' },
      { text: 'Speed', link: '/speed' },
    ],
    sidebar: { ...api, '/': guides },
    outline: { level: [2, 3] },
    search: { provider: 'local' },
  },
  vite: { server: { headers: isolated }, preview: { headers: isolated } },
});
