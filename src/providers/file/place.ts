// Where a file may lie: below REKEY_PUBLISH_DIR, in folders that nobody but this user (or root) may change, reached through no
// link. A folder that others may write to could be exchanged for a link between a look and a write. The same is asked of
// every folder above REKEY_PUBLISH_DIR, which may itself be reached by a link of ours.

import { constants, type Stats } from 'node:fs'
import { lstat, open } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { judgePath } from '../safe-path.ts'

/** Relative, without hidden files: those are ours while we write. */
const pathRule = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,15}$/
export const pathPattern = pathRule.source

export const pathIn = ({ path }: JsonObject): string => {
  if (typeof path === 'string' && pathRule.test(path)) return path
  throw new ProviderError('permanent', 'none', 'ref.path is not a path below the directory')
}

export const maxBytes = 64 * 1024

export interface FilePlace {
  readonly folder: string
  readonly file: string
}

/** Throws where the folder is not there, or not safe. */
export const findPlace = async (directory: string | null, path: string): Promise<FilePlace> => {
  if (directory === null)
    throw new ProviderError('precondition', 'none', 'this process publishes no files', {
      hint: 'set REKEY_PUBLISH_DIR on every worker, to a directory that they share',
    })
  const judged = await judgePath(resolve(directory))
  if ('fault' in judged)
    throw judged.fault === 'missing'
      ? new ProviderError('precondition', 'none', 'REKEY_PUBLISH_DIR does not exist', {
          hint: 'make it, owned by the user that Rekey runs as, mode 0700 or 0755',
        })
      : new ProviderError(
          'precondition',
          'none',
          'others may change REKEY_PUBLISH_DIR, or a folder above it',
          { hint: `chown ${judged.at} to root or the user that Rekey runs as, and chmod go-w it` },
        )
  const root = judged.real
  let folder = root
  await mustBeSafe(folder)
  for (const part of dirname(path) === '.' ? [] : dirname(path).split('/')) {
    folder = join(folder, part)
    // oxlint-disable-next-line no-await-in-loop -- from the root on down
    await mustBeSafe(folder)
  }
  return { folder, file: join(root, path) }
}

const mustBeSafe = async (folder: string): Promise<void> => {
  const stat = await lstat(folder).catch(() => null)
  if (stat === null)
    throw new ProviderError('precondition', 'none', 'the folder of the file does not exist', {
      hint: 'make it, owned by the user that Rekey runs as, mode 0700 or 0755',
    })
  if (stat.isSymbolicLink())
    throw new ProviderError('precondition', 'none', 'the path leads through a link')
  if (!stat.isDirectory())
    throw new ProviderError('precondition', 'none', 'the path leads through a file')
  if (!isOurs(stat) || (stat.mode & 0o022) !== 0)
    throw new ProviderError('precondition', 'none', 'others may change the folder of the file', {
      hint: 'let it belong to the user that Rekey runs as, and chmod go-w it',
    })
}

const isOurs = ({ uid }: Stats): boolean => uid === 0 || uid === process.getuid?.()

/** Null: there is no such file. Throws where it is none of ours, or no text. */
export const readFileAt = async ({ file }: FilePlace): Promise<Secret | null> => {
  // Without O_NONBLOCK a pipe would be waited for.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const opened = await open(file, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    if (error.code === 'ELOOP')
      throw new ProviderError('precondition', 'none', 'the file is a link: it is not followed')
    throw new ProviderError('precondition', 'none', `the file cannot be read (${codeOf(error)})`)
  })
  if (opened === null) return null
  try {
    const stat = await opened.stat()
    if (!stat.isFile()) throw new ProviderError('precondition', 'none', 'it is not a regular file')
    if (stat.uid !== process.getuid?.())
      throw new ProviderError('precondition', 'none', 'the file belongs to somebody else', {
        hint: 'take it away, or let it belong to the user that Rekey runs as',
      })
    if (stat.size > maxBytes)
      throw new ProviderError('precondition', 'none', 'the file is larger than 64 kB')
    const bytes = await opened.readFile()
    try {
      return new Secret(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
    } catch {
      throw new ProviderError('precondition', 'none', 'the file is not UTF-8 text')
    }
  } finally {
    await opened.close()
  }
}

/** Of what Node throws only codes are taken; its texts carry paths. */
export const codeOf = (error: unknown): string => {
  const { code } = Object(error) as NodeJS.ErrnoException
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : 'unknown'
}
