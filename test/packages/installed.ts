// The package as users get it, for tests.
import { reasonAgainst, untested } from '../equipment.js';
import { installPackage } from './install.js';

/**
 * The folder with the installed package and examples. If it cannot be installed, a test is added that says so: skipped, or
 * failed in CI. Then the result is null.
 */
export async function installed(): Promise<string | null> {
  const reason = reasonAgainst('WebAssembly');
  if (reason !== null) {
    untested('the installed package', reason);
    return null;
  }
  try {
    return await installPackage();
  } catch (error) {
    untested('the installed package', (error as Error).message);
    return null;
  }
}
