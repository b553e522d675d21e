// Ends the output with one line that machines read: `N passed, N failed`, and how many were skipped if any.
import type { Reporter, TestModule } from 'vitest/node';

export default class implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state !== 'pending') count[state]++;
      }
      // A file that did not load, or a hook that threw, fails without a test that does.
      count.failed += module.errors().length;
      for (const suite of module.children.allSuites()) count.failed += suite.errors().length;
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    process.on('exit', () => console.log(`\n${count.passed} passed, ${count.failed} failed${skipped}`));
  }
}
