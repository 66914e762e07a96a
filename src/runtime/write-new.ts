// A file that was not there before and that nobody else can read: `wx` follows no link, and makes the mode ours.

import { open } from 'node:fs/promises'

/** On the disk when it returns: without it a power cut could leave an empty file under the name. */
export const writeNew = async (path: string, data: string | Uint8Array): Promise<void> => {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(data)
    await file.sync()
  } finally {
    await file.close()
  }
}
