import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Real databases and servers on a busy two-core machine: a test that hangs fails here, a slow one does not.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ['default', './test/support/reporter.ts'],
  },
})
