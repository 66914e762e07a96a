// `<data>/high-water.json`: what this machine remembers of the log, outside of the database. See usecases/watch-high-water.ts.

import { readFile, rename, rm } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { HighWater } from '#domain/recovery.ts'
import { writeNew } from './write-new.ts'

export const highWaterFile = (dataDir: string) => {
  const path = join(dataDir, 'high-water.json')
  let next: HighWater | null = null
  let writing: Promise<void> | null = null

  /** Writes what is newest when it begins; whoever came meanwhile is covered by the round after. */
  const drain = async (): Promise<void> => {
    try {
      while (next !== null) {
        const mark = next
        next = null
        await replace(path, `${JSON.stringify(mark)}\n`) // oxlint-disable-line no-await-in-loop -- one write at a time
      }
    } finally {
      // Here, and not when the promise has settled: who comes in between must begin a round of its own.
      writing = null
    }
  }
  return {
    path,
    read: async (): Promise<HighWater | null> => {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null
        throw error
      })
      return text === null ? null : parse(text, path)
    },
    write: (mark: HighWater): Promise<void> => {
      next = mark
      writing ??= drain()
      return writing
    },
  }
}

const replace = async (path: string, text: string): Promise<void> => {
  // Processes that share the directory do not write into each other's draft.
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writeNew(draft, text)
    await rename(draft, path)
  } catch (error) {
    // A disk that is full is tried again and again: drafts must not fill it further.
    await rm(draft, { force: true })
    throw error
  }
}

const parse = (text: string, path: string): HighWater => {
  const mark = parsed(text)
  const whole =
    typeof mark?.installation === 'string' &&
    typeof mark.incarnation === 'string' &&
    typeof mark.cluster === 'string' &&
    Array.isArray(mark.events) &&
    mark.events.length > 0
  if (!whole)
    throw new Error(
      `${path} does not hold a high-water mark. Without it nobody knows whether the database went back in time: ` +
        'if you are sure that it did not, remove the file',
    )
  return mark as HighWater
}

const parsed = (text: string): Partial<HighWater> | null => {
  try {
    return JSON.parse(text) as Partial<HighWater> | null
  } catch {
    return null
  }
}
