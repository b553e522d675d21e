// Gives the engine the version of package.json. See CONTRIBUTING.md, "Releasing".
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const file = 'native/abi.h';
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
writeFileSync(file, readFileSync(file, 'utf8').replace(/(kVersion = )".*"/, `$1"${version}"`));
execFileSync('git', ['add', file]);
