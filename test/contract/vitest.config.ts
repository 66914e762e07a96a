// `npm run contract -- --dir /path/to/adapter`: the tests of a provider that lies somewhere else.

import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

const root = join(import.meta.dirname, '../..')

export default defineConfig({
  root,
  resolve: {
    alias: {
      'rekey/contract': join(root, 'test/contract/entry.ts'),
      'rekey/provider': join(root, 'src/providers/outside.ts'),
    },
  },
  server: { fs: { strict: false } },
  test: {
    include: ['**/*.test.ts', '**/*.test.js'],
    pool: 'forks',
    testTimeout: 120_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    reporters: ['default', join(root, 'test/support/reporter.ts')],
  },
})
