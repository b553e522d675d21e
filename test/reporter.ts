// Lists skipped tests, whose titles give the reason, and ends the output with a line for machines: `N passed, N failed`,
// followed by `, N skipped` if there are any.
import type { Reporter, TestModule } from 'vitest/node';

export default class implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    const skipped: string[] = [];
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') count[state]++;
        if (state === 'skipped') skipped.push(`${module.relativeModuleId} (${module.project.name}): ${test.fullName}`);
      }
      // A file that does not load, or a hook that throws, fails without a failing test.
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length;
    }
    process.on('exit', () => {
      if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((each) => `  ${each}\n`).join('')}`);
      const rest = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
      console.log(`\n${count.passed} passed, ${count.failed} failed${rest}`);
    });
  }
}
