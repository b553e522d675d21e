// Starts the builds that several test files share when all tests are run. Otherwise workers would wait for the first file
// that needs a build. A build that fails is reported by the tests that need it, because they repeat it.
import type { TestProject } from 'vitest/node';
import { findChromium, hasWasm } from '../scripts/equipment.mjs';
import { buildExplorer, pagePackage } from './build-once.js';
import { installPackage } from './packages/install.js';

export default function startBuilds({ vitest }: TestProject): void {
  const runsAllTests = (vitest as { filenamePattern?: string[] | undefined }).filenamePattern === undefined;
  if (runsAllTests && hasWasm) void build();
}

async function build(): Promise<void> {
  const builds = [pagePackage, installPackage, ...(findChromium() ? [buildExplorer] : [])];
  for (const each of builds) await each().catch(() => {});
}
