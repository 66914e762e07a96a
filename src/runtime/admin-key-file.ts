// `<data>/admin-key`: written beside its place and renamed, so that a reader sees the old token or the new one.

import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Secret } from '#domain/secret.ts'

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
      // What a crash left: opening with `wx` makes sure that the mode is ours and that no link is followed.
      await rm(beside, { force: true })
      const file = await open(beside, 'wx', 0o600)
      try {
        await file.writeFile(`${token.reveal()}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(beside, path)
    },
  }
}
