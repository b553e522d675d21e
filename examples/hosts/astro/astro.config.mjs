import node from '@astrojs/node';
import { defineConfig } from 'astro/config';

export default defineConfig({
  output: 'server',
  adapter: node({ mode: 'standalone' }),
  // The package stays out of the bundle: it finds its addon beside its own files.
  vite: { ssr: { external: ['simdformer'] } },
});
