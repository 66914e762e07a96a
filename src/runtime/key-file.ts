// Files that hold one key: made at the first start, 0600, and refused when others can read them.

import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import { writeNew } from './write-new.ts'

export interface KeyFileForm {
  /** For messages: `key-encryption key`, `writer key`. */
  readonly what: string
  /** Its first group is what is returned. */
  readonly pattern: RegExp
  readonly make: () => string
}

/** Reads the file; makes it when there is none. Two processes that start at once end with the same key. */
export const readOrMakeKeyFile = async (path: string, form: KeyFileForm): Promise<string> => {
  const there = await readKeyFile(path, form)
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
  const made = await readKeyFile(path, form)
  if (made === null) throw new Error(`the ${form.what} ${path} vanished while it was made`)
  return made
}

/** Null where there is none. */
export const readKeyFile = async (path: string, form: KeyFileForm): Promise<string | null> => {
  const file = await open(path, 'r').catch((e: NodeJS.ErrnoException) => {
    if (e.code === 'ENOENT') return null
    throw e
  })
  if (file === null) return null
  try {
    const { mode } = await file.stat()
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new Error(
        `the ${form.what} ${path} has mode ${octal}: others can read it; chmod 600 it`,
      )
    }
    const text = await readFile(file, 'utf8')
    const found = form.pattern.exec(text)?.[1]
    if (found === undefined) throw new Error(`${path} does not hold a ${form.what}`)
    return found
  } finally {
    await file.close()
  }
}
