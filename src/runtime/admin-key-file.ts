// `<data>/admin-key`: written beside its place and renamed, so that a reader sees the old token or the new one.

import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Secret } from '#domain/secret.ts'
import { writeNew } from './write-new.ts'

export const adminKeyFile = (dataDir: string) => {
  const path = join(dataDir, 'admin-key')
  return {
    path,
    read: async (): Promise<string | null> => {
      try {
        return await readFile(path, 'utf8')
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
        throw error
      }
    },
    write: async (token: Secret<string>): Promise<void> => {
      const beside = `${path}.new`
      // What a crash left.
      await rm(beside, { force: true })
      await writeNew(beside, `${token.reveal()}\n`)
      await rename(beside, path)
    },
  }
}
