// Where Chromium is, and how it starts: CHROME_PATH, or where Debian puts it.
import { existsSync } from 'node:fs';

const executablePath = [process.env.CHROME_PATH, '/usr/bin/chromium'].find((path) => path && existsSync(path));

/** It is kept from calling home. */
const quiet = [
  'disable-quic',
  'no-first-run',
  'disable-background-networking',
  'disable-component-update',
  'disable-sync',
];

/** What Playwright launches; undefined if there is no Chromium. */
export const chromium =
  executablePath === undefined
    ? undefined
    : { executablePath, args: ['--no-sandbox', ...quiet.map((option) => `--${option}`)] };
