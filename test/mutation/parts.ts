// What is mutated, which tests are asked, and how many mutants they have to kill.

interface Part {
  readonly mutate: readonly string[]
  readonly tests: readonly string[]
  /** Makes the PostgreSQL that the tests ask for. */
  readonly setup: string | null
  /** Texts for people are no code: see `prose` in plugins.ts. SQL is a text of several words too, and it is code. */
  readonly ignorers: readonly ('prose' | 'types')[]
  /** Per cent; below, the command fails. */
  readonly least: number
}

const database = 'test/support/global-setup.ts'

export const parts = {
  domain: {
    mutate: [
      'src/domain/**/*.ts',
      // Types and constants of other parts: nothing in them decides.
      '!src/domain/ports.ts',
      // Tables of texts for people. That pages, alerts and code agree is tested where those are made.
      '!src/domain/error-help.ts',
      '!src/domain/metrics.ts',
    ],
    tests: ['test/domain/**/*.test.ts'],
    setup: null,
    ignorers: ['prose', 'types'],
    least: 90,
  },
  ledger: {
    mutate: ['src/store/ledger.ts'],
    tests: ['test/store/**/*.test.ts'],
    setup: database,
    ignorers: ['types'],
    least: 80,
  },
  usecases: {
    mutate: ['src/usecases/**/*.ts'],
    tests: ['test/usecases/**/*.test.ts'],
    setup: database,
    ignorers: ['prose', 'types'],
    least: 80,
  },
} as const satisfies Record<string, Part>

export type PartName = keyof typeof parts
