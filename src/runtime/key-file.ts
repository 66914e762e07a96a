// Files that hold keys: made at the first start, 0600, and refused when others can read them.

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { chown, link, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { writeNew } from './write-new.ts'

export interface KeyFileForm {
  /** For messages: `key-encryption key`, `writer key`. */
  readonly what: string
  /** Of the whole file. Its first group is what is returned. */
  readonly pattern: RegExp
  readonly make: () => string
}

/** Reads the file; makes it when there is none. Two processes that start at once end with the same key. */
export const readOrMakeKeyFile = async (path: string, form: KeyFileForm): Promise<string> => {
  const there = readKeyFile(path, form)
  if (there !== null) return there
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  // On the disk before it is used: a key that is lost after something was sealed with it loses that too.
  await writeNew(draft, form.make())
  // `link` fails where another process was first; a crash before it leaves a draft that nothing reads.
  await link(draft, path).catch((e: NodeJS.ErrnoException) => {
    if (e.code !== 'EEXIST') throw e
  })
  await rm(draft, { force: true })
  const made = readKeyFile(path, form)
  if (made === null) throw new Error(`the ${form.what} ${path} vanished while it was made`)
  return made
}

/** Null where there is none. In one go: a process that meets a row of a key it does not know looks for it in the middle of opening
 *  that row. */
export const readKeyFile = (path: string, form: KeyFileForm): string | null => {
  const file = openThere(path)
  if (file === null) return null
  try {
    const { mode } = fstatSync(file)
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new Error(
        `the ${form.what} ${path} has mode ${octal}: others can read it; chmod 600 it`,
      )
    }
    const found = form.pattern.exec(readFileSync(file, 'utf8'))?.[1]
    if (found === undefined) throw new Error(`${path} does not hold a ${form.what}`)
    return found
  } finally {
    closeSync(file)
  }
}

const openThere = (path: string): number | null => {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** A reader sees the old text or the new one, and a power cut leaves one of them. A link stays one: what it points at is replaced,
 *  beside where that is. */
export const replaceKeyFile = async (path: string, text: string): Promise<void> => {
  const real = await realpath(path)
  const draft = `${real}.${randomBytes(6).toString('hex')}`
  try {
    await writeNew(draft, text)
    // The processes that read it run as its owner; a command that root runs must not take it from them.
    const { uid, gid } = await stat(real)
    await chown(draft, uid, gid)
    await rename(draft, real)
    await syncDirectory(dirname(real))
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
