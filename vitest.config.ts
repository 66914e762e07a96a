import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['./test/support/global-setup.ts'],
    // One worker a core: more only wait for each other, and a clone of the database is slower for it.
    pool: 'forks',
    maxWorkers: 2,
    // Real databases and servers on a busy two-core machine: a test that hangs fails here, a slow one does not.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
})
