import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import { watchSnippets } from './run.js';
import './snippets.css';

export default {
  extends: DefaultTheme,
  enhanceApp: () => {
    if (!import.meta.env.SSR) watchSnippets();
  },
} satisfies Theme;
