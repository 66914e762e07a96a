// Which server, and with which token. A token is never taken from the command line (other users see it in `ps`), never
// printed, and the admin key of this directory is sent to this machine only.

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Secret } from '#domain/secret.ts'
import { editDistance } from '#domain/suggest.ts'
import { usage } from './failure.ts'
import type { CliIo } from './io.ts'
import { readLogin } from './saved-login.ts'

export const defaultUrl = 'http://127.0.0.1:7400'

export interface Target {
  /** Without a slash at the end. */
  readonly url: string
  readonly token: Secret | null
  /** Where the token came from, or why there is none. */
  readonly tokenSource: string
  readonly warnings: readonly string[]
}

export const resolveTarget = async (io: Pick<CliIo, 'env' | 'cwd' | 'clock'>): Promise<Target> => {
  const url = serverUrl(io.env['REKEY_URL'] || (await runningUrl(io)) || defaultUrl)
  const loopback = isLoopback(url.hostname)
  const address = url.href.replace(/\/+$/, '')
  const { token, source } = await findToken(io, address, loopback)
  const warnings = misspelt(io.env)
  if (url.protocol === 'http:' && !loopback && token !== null) {
    warnings.push(`the token travels to ${url.host} without TLS; use https in REKEY_URL`)
  }
  return { url: address, token, tokenSource: source, warnings }
}

/** Where the server of this data directory listens, if one is running and listens on this machine. */
const runningUrl = async ({ env, cwd }: Pick<CliIo, 'env' | 'cwd'>): Promise<string | null> => {
  const text = await readToken(resolve(cwd, `${env['REKEY_DATA_DIR'] || '.rekey'}/run.json`))
  const url = /"url": "(https?:\/\/[^"]+)"/.exec(text ?? '')?.[1]
  return url !== undefined && URL.canParse(url) && isLoopback(new URL(url).hostname) ? url : null
}

const serverUrl = (text: string): URL => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw usage('REKEY_URL is not an http(s) address', { hint: `for example ${defaultUrl}` })
  }
  if (url.username !== '' || url.password !== '') {
    throw usage('REKEY_URL holds a user or password', {
      hint: 'put the token into REKEY_TOKEN or REKEY_TOKEN_FILE',
    })
  }
  if (url.search !== '' || url.hash !== '') {
    throw usage('REKEY_URL has a query or fragment', { hint: `for example ${defaultUrl}` })
  }
  return url
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(host)

const findToken = async (
  { env, cwd, clock }: Pick<CliIo, 'env' | 'cwd' | 'clock'>,
  url: string,
  loopback: boolean,
): Promise<{ readonly token: Secret | null; readonly source: string }> => {
  if (env['REKEY_TOKEN'])
    return { token: wellFormed(env['REKEY_TOKEN'], 'REKEY_TOKEN'), source: 'REKEY_TOKEN' }
  const named = env['REKEY_TOKEN_FILE']
  if (named) {
    const text = await readToken(resolve(cwd, named))
    if (text === null) {
      throw usage(`REKEY_TOKEN_FILE names ${named}, which cannot be read`)
    }
    return { token: wellFormed(text, 'REKEY_TOKEN_FILE'), source: 'REKEY_TOKEN_FILE' }
  }
  const login = await readLogin(env, url)
  if (login !== null) {
    // Not the admin key instead: nobody becomes somebody else by waiting.
    if (new Date(login.expiresAt) <= clock.now())
      return { token: null, source: 'the login has ended: `rekey login`, or `rekey logout`' }
    return { token: wellFormed(login.token, 'the login'), source: '`rekey login`' }
  }
  if (!loopback) return { token: null, source: 'REKEY_TOKEN is not set' }
  const path = `${env['REKEY_DATA_DIR'] || '.rekey'}/admin-key`
  const text = await readToken(resolve(cwd, path))
  return text === null
    ? { token: null, source: `REKEY_TOKEN is not set, and ${path} cannot be read` }
    : { token: wellFormed(text, path), source: path }
}

const readToken = async (path: string): Promise<string | null> => {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return null
  }
}

/** What no header can carry is refused here, since the error of `fetch` would quote it. */
const wellFormed = (text: string, source: string): Secret => {
  const token = text.trim()
  if (!/^[\x21-\x7e]{8,8192}$/.test(token)) throw usage(`${source} does not hold a token`)
  return new Secret(token)
}

/** A client variable with a slip in its name is silently another server or no token. */
const misspelt = (env: CliIo['env']): string[] => {
  const known = ['REKEY_URL', 'REKEY_TOKEN', 'REKEY_TOKEN_FILE', 'REKEY_DATA_DIR']
  return Object.keys(env).flatMap((name) => {
    if (!/^REKEY_(?:U|T|D)/.test(name) || known.includes(name)) return []
    const meant = known.find((one) => editDistance(name, one, 3) < 3)
    return meant === undefined ? [] : [`${name} is not a variable of Rekey; did you mean ${meant}?`]
  })
}
