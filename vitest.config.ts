import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['./test/support/global-setup.ts'],
    // Files of one worker share their modules: loading those anew for each file took a third of the time. No module of
    // ours holds state that a test could leave behind. Two workers a core: most of a test is waiting.
    pool: 'forks',
    isolate: false,
    maxWorkers: 4,
    // Real databases and servers on a busy two-core machine: a test that hangs fails here, a slow one does not.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // What is waited for comes; vitest's own second says nothing about Rekey.
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', './test/support/reporter.ts'],
  },
})
