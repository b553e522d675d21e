// Gives the engine and src/core/version.ts the version of package.json. See CONTRIBUTING.md, "Releasing".
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
const files = ['native/abi.h', 'src/core/version.ts'];
for (const file of files)
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(VERSION|kVersion)( = ['"])[^'"]*/, `$1$2${version}`));
execFileSync('git', ['add', ...files]);
