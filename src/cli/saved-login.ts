// What `rekey login` keeps: a token for one server, in a file of one's own that nobody else reads. It is sent to that server and
// to no other, and not once it has ended.

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { usage } from './failure.ts'
import type { CliIo } from './io.ts'
import { objectAt, textAt } from './read-json.ts'

type Env = CliIo['env']

export interface SavedLogin {
  /** Of the server, without a slash at the end. */
  readonly url: string
  readonly token: string
  /** RFC 3339. */
  readonly expiresAt: string
}

/** Null where nobody has a home. */
export const pathOfLogin = (env: Env, url: string): string | null => {
  const { XDG_CONFIG_HOME: config, HOME: home } = env
  const base = config && isAbsolute(config) ? config : home ? join(home, '.config') : null
  if (base === null) return null
  const name = createHash('sha256').update(url).digest('hex').slice(0, 16)
  return join(base, 'rekey', 'logins', `${name}.json`)
}

export const readLogin = async (env: Env, url: string): Promise<SavedLogin | null> => {
  const path = pathOfLogin(env, url)
  if (path === null) return null
  const text = await readFile(path, 'utf8').catch(() => null)
  if (text === null) return null
  const { mode } = await stat(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0)
    throw usage(`${path} holds a token, and others can read it`, { hint: `chmod 600 ${path}` })
  const found = loginIn(text)
  return found?.url === url ? found : null
}

const loginIn = (text: string): SavedLogin | null => {
  try {
    const value = objectAt(JSON.parse(text))
    const login = {
      url: textAt(value, 'url'),
      token: textAt(value, 'token'),
      expiresAt: textAt(value, 'expiresAt'),
    }
    return login.token !== '' && !Number.isNaN(Date.parse(login.expiresAt)) ? login : null
  } catch {
    return null
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
export const saveLogin = async (path: string, login: SavedLogin): Promise<void> => {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(login)}\n`)
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** Whether there was one. */
export const dropLogin = async (path: string): Promise<boolean> =>
  rm(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
