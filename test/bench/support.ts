// A database of the benchmark's own, with fsync on as in production, and the few statistics that are quoted.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { bootstrap, type DatabaseUrls } from '#store/bootstrap.ts'
import { migrate } from '#store/migrate.ts'

export interface Result {
  readonly what: string
  readonly ours: number
  /** Null: there is nothing to compare with, the goal is absolute. */
  readonly floor: number | null
  /** A ratio ours ÷ floor that is wanted at least; without a floor, a number that is wanted at most. */
  readonly goal: number | null
}

export interface BenchDatabase {
  readonly urls: DatabaseUrls
  readonly dataDir: string
  close(): Promise<void>
}

export const openBenchDatabase = async (): Promise<BenchDatabase> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'rekey-bench-'))
  const server = await startEmbeddedPostgres({ dataDir })
  const urls = await bootstrap({ superuserUrl: server.superuserUrl })
  await migrate({ superuserUrl: urls.superuser, migrationUrl: urls.migration })
  return {
    urls,
    dataDir,
    close: async () => {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Runs `total` pieces of work over `clients` lanes; per second. */
export const rate = async (
  clients: number,
  total: number,
  work: (client: number) => Promise<void>,
): Promise<number> => {
  const started = performance.now()
  const each = Math.floor(total / clients)
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let n = 0; n < each; n++) await work(client) // oxlint-disable-line no-await-in-loop -- one lane
    }),
  )
  return (each * clients * 1000) / (performance.now() - started)
}

export const printTable = (results: readonly Result[]): void => {
  for (const { what, ours, floor, goal } of results) {
    const ratio = floor === null ? '' : `  ratio ${(ours / floor).toFixed(2)}`
    const against = floor === null ? '' : `  floor ${floor.toFixed(0)}`
    const wanted = goal === null ? '' : floor === null ? `  goal ≤ ${goal}` : `  goal ≥ ${goal}`
    console.log(`${what.padEnd(64)} ours ${ours.toFixed(0)}${against}${ratio}${wanted}`)
  }
}
