// Settings with which tests and benchmarks start Chromium.
import { findChromium } from '../../scripts/equipment.mjs';

const executablePath = findChromium();

/** These options keep Chromium from connecting to its maker's servers. */
const quiet = [
  'disable-quic',
  'no-first-run',
  'disable-background-networking',
  'disable-component-update',
  'disable-sync',
];

/** Playwright's launch options; undefined if there is no Chromium. */
export const chromium =
  executablePath === undefined
    ? undefined
    : { executablePath, args: ['--no-sandbox', ...quiet.map((option) => `--${option}`)] };
