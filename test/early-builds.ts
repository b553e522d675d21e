// Starts the builds that several test files share when all tests are run. Otherwise workers would wait for the first file
// that needs a build. A build that fails is reported by the tests that need it, because they repeat it.
import type { TestProject } from 'vitest/node';
import { findChromium, hasWasm } from '../scripts/equipment.mjs';
import { buildExplorer, pagePackage } from './build-once.js';
import { installPackage } from './packages/install.js';

/** Returns a function that waits for the end of the builds. */
export default function startBuilds({ vitest }: TestProject): () => Promise<void> {
  const { filenamePattern } = vitest as { filenamePattern?: readonly string[] | undefined };
  const building = filenamePattern === undefined && hasWasm ? build() : Promise.resolve();
  return () => building;
}

async function build(): Promise<void> {
  const builds = [pagePackage, installPackage, ...(findChromium() ? [buildExplorer] : [])];
  for (const each of builds) await each().catch(() => {});
}
