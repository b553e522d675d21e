export default defineNuxtConfig({
  compatibilityDate: '2026-11-01',
  telemetry: false,
  // The server finds the package and its addon in node_modules, not in a copy of some of its files.
  nitro: { externals: { trace: false } },
});
