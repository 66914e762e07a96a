// A backup on disk: a directory of parts, or one tar file (a name that ends in `.tar`) with the same parts in the same order.
// It is written beside its place, readable by its owner only, and renamed when it is whole: what has the name is a backup.

import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { createTarDecoder, createTarPacker } from 'modern-tar'
import {
  BackupRefused,
  type BackupSink,
  type BackupSource,
  manifestName,
  mostPartBytes,
} from '#domain/backup.ts'
import { writeNew } from './write-new.ts'

/** Refuses to write over anything. */
export const openBackupSink = async (to: string): Promise<BackupSink> => {
  const path = resolve(to)
  if ((await kindOf(path)) !== null) {
    throw new BackupRefused(
      'target',
      `${path} is there already`,
      'Name a new directory, or a new file that ends in .tar.',
    )
  }
  const draft = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString('hex')}.partial`)
  try {
    await mkdir(dirname(path), { recursive: true })
    return path.endsWith('.tar') ? await tarSink(path, draft) : await directorySink(path, draft)
  } catch (cause) {
    throw new BackupRefused(
      'target',
      `${dirname(path)} cannot be written to (${codeOf(cause)})`,
      'Choose another place.',
    )
  }
}

export const openBackupSource = async (from: string): Promise<BackupSource> => {
  const path = resolve(from)
  switch (await kindOf(path)) {
    case 'directory':
      return { parts: () => directoryParts(path) }
    case 'file':
      return { parts: () => tarParts(path) }
    case null:
      throw new BackupRefused(
        'notBackup',
        `there is nothing at ${path}`,
        'Name what `rekey backup --to` was given.',
      )
  }
}

const directorySink = async (path: string, draft: string): Promise<BackupSink> => {
  await mkdir(draft, { mode: 0o700 })
  return {
    put: (name, bytes) => writeNew(join(draft, name), bytes),
    commit: () => rename(draft, path),
    discard: () => rm(draft, { recursive: true, force: true }),
  }
}

const tarSink = async (path: string, draft: string): Promise<BackupSink> => {
  const { readable, controller } = createTarPacker()
  const file = createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true })
  const written = readable.pipeTo(Writable.toWeb(file) as WritableStream<Uint8Array>)
  // Whoever puts the next part hears of it; without this the process would end before.
  written.catch(() => undefined)
  return {
    put: async (name, bytes) => {
      const entry = controller
        .add({ name, size: bytes.byteLength, mode: 0o600, type: 'file' })
        .getWriter()
      const filled = (async () => {
        await entry.write(bytes)
        await entry.close()
      })()
      filled.catch(() => undefined)
      // A file that cannot be written ends the whole; nobody takes what is put then.
      await Promise.race([filled, written])
    },
    commit: async () => {
      controller.finalize()
      await written
      await rename(draft, path)
    },
    discard: async () => {
      controller.error(new Error('given up'))
      await written.catch(() => undefined)
      await rm(draft, { force: true })
    },
  }
}

async function* directoryParts(path: string): ReturnType<BackupSource['parts']> {
  const names = await readdir(path).catch((error: unknown) => unreadable(path, error))
  for (const name of names.toSorted()) yield { name, bytes: await partAt(join(path, name)) } // oxlint-disable-line no-await-in-loop -- in order
}

const partAt = async (file: string): Promise<Uint8Array> => {
  const name = basename(file)
  try {
    return (await stat(file)).size > mostOf(name) ? tooLarge(name) : await readFile(file)
  } catch (error) {
    return unreadable(file, error)
  }
}

const unreadable = (path: string, error: unknown): never => {
  if (error instanceof BackupRefused) throw error
  throw new BackupRefused(
    'notBackup',
    `${path} cannot be read as a backup (${codeOf(error)})`,
    'Is the copy complete? Compare it with the original.',
  )
}

async function* tarParts(path: string): ReturnType<BackupSource['parts']> {
  const file = createReadStream(path)
  try {
    const entries = (Readable.toWeb(file) as ReadableStream<Uint8Array>).pipeThrough(
      createTarDecoder({ strict: true }),
    )
    for await (const { header, body } of entries) {
      if (header.size > mostOf(header.name)) tooLarge(header.name)
      yield { name: header.name, bytes: new Uint8Array(await new Response(body).arrayBuffer()) }
    }
  } catch (error) {
    unreadable(path, error)
  } finally {
    file.destroy()
  }
}

/** Of a manifest with a line for each part: a hundred bytes for four megabytes. */
const mostOf = (name: string): number => (name === manifestName ? 512 * 1024 * 1024 : mostPartBytes)

const tooLarge = (name: string): never => {
  throw new BackupRefused(
    'notBackup',
    `${name} is larger than any part of a backup`,
    'Nothing was read.',
  )
}

const kindOf = async (path: string): Promise<'directory' | 'file' | null> => {
  try {
    return (await stat(path)).isDirectory() ? 'directory' : 'file'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw new BackupRefused(
      'target',
      `${path} cannot be looked at (${codeOf(error)})`,
      'Check its rights.',
    )
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error
    ? String(error.code)
    : error instanceof Error
      ? error.message
      : 'unknown'
