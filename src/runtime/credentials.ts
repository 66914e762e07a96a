// Credentials of connections: what may be named (asked when a connection is written, and again when it is used) and how
// a name becomes a value. 9-security.md 1: whoever may write a connection must not thereby read the host's environment or
// files, nor send a credential to a host that it was not meant for.
//
//   env      only REKEY_CREDENTIAL_<X>, and only to the hosts in REKEY_CREDENTIAL_<X>_HOSTS
//   file     only below REKEY_CREDENTIALS_DIR by its real path; no link on the way
//   default  only with REKEY_DEFAULT_CREDENTIALS=on
//   key      only a key that lists the connection in `usableBy`, and never in a circle
//   value    sealed here; opened only for the connection that it was sent for

import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { isAbsolute, join, normalize, relative, sep } from 'node:path'
import type { Connection, CredentialRef } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key } from '#domain/key.ts'
import type { Reads } from '#domain/ports.ts'
import type { Material } from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'

export interface CredentialOptions {
  /** The variables that start with REKEY_CREDENTIAL_; nothing else is looked at. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** REKEY_CREDENTIALS_DIR. */
  readonly directory: string | null
  /** REKEY_DEFAULT_CREDENTIALS=on. */
  readonly defaults: boolean
}

/** The part of a connection that its credential depends on. */
export type CredentialUse = Pick<Connection, 'name' | 'credential'> & {
  /** What the provider would dial with these settings. */
  readonly endpoints: readonly string[]
}

export interface Credentials {
  /** The rules, without opening anything. Throws RekeyError `connection.unusable`. */
  check(use: CredentialUse, db: Reads): Promise<void>
  /** The value, and a stamp that changes when the value may have. `material` reads a key's primary version. */
  resolve(
    use: CredentialUse,
    db: Reads,
    material: (key: Key) => Promise<{ readonly material: Material; readonly stamp: string }>,
  ): Promise<{ readonly credential: Secret<string> | null; readonly stamp: string }>
}

export const makeCredentials = (options: CredentialOptions): Credentials => ({
  async check(use, db) {
    const ref = use.credential
    switch (ref.from) {
      case 'default':
        return checkDefault(options)
      case 'env':
        fromEnv(options, ref.name, use.endpoints)
        return
      case 'file':
        await fromFile(options, ref.path)
        return
      case 'key':
        await usableKey(db, ref.key, use.name)
        return
      case 'none':
      case 'value':
    }
  },

  async resolve(use, db, material) {
    const ref = use.credential
    switch (ref.from) {
      case 'none':
        return { credential: null, stamp: 'none' }
      case 'default':
        checkDefault(options)
        return { credential: null, stamp: 'default' }
      case 'env':
        return { credential: fromEnv(options, ref.name, use.endpoints), stamp: `env:${ref.name}` }
      case 'file': {
        const { text, changed } = await fromFile(options, ref.path)
        return { credential: text, stamp: `file:${changed}` }
      }
      case 'key': {
        const found = await material(await usableKey(db, ref.key, use.name))
        return { credential: asText(found.material), stamp: `key:${found.stamp}` }
      }
      case 'value': {
        const opened = await db.sealed.open(ref.sealedId)
        if (!opened) throw unusable('The stored credential is gone.', 'Send the credential again.')
        return { credential: asText(opened), stamp: `value:${ref.sealedId}` }
      }
    }
  },
})

const unusable = (detail: string, hint?: string, pointer = '/credential'): RekeyError =>
  new RekeyError('connection.unusable', {
    detail,
    ...(hint === undefined ? {} : { hint }),
    errors: [{ pointer, detail }],
  })

const asText = (material: Material): Secret<string> => new Secret(revealText(material))

const checkDefault = ({ defaults }: CredentialOptions): void => {
  if (!defaults) {
    throw unusable(
      "The host's own credentials are not to be used.",
      'Start Rekey with REKEY_DEFAULT_CREDENTIALS=on to allow it.',
      '/credential/from',
    )
  }
}

const envName = /^REKEY_CREDENTIAL_[A-Z0-9_]{1,64}$/

const fromEnv = (
  { env }: CredentialOptions,
  name: string,
  endpoints: readonly string[],
): Secret<string> => {
  if (!envName.test(name) || name.endsWith('_HOSTS')) {
    throw unusable(
      'Only variables named REKEY_CREDENTIAL_… hold credentials.',
      undefined,
      '/credential/name',
    )
  }
  const hosts = (env[`${name}_HOSTS`] ?? '')
    .split(',')
    .map((host) => host.trim().toLowerCase())
    .filter((host) => host !== '')
  for (const endpoint of endpoints) {
    const url = URL.parse(endpoint)
    if (
      !url ||
      !(hosts.includes(url.hostname.toLowerCase()) || hosts.includes(url.host.toLowerCase()))
    ) {
      throw unusable(
        `${name} may not be sent to ${url?.hostname ?? 'this address'}.`,
        `List the host in ${name}_HOSTS.`,
        '/credential/name',
      )
    }
  }
  const value = env[name]
  if (value === undefined || value === '') {
    throw unusable(`${name} is not set.`, undefined, '/credential/name')
  }
  return new Secret(value)
}

const maxFileBytes = 64 * 1024

const fromFile = async (
  { directory }: CredentialOptions,
  path: string,
): Promise<{ readonly text: Secret<string>; readonly changed: string }> => {
  const refuse = (detail: string, hint?: string): RekeyError =>
    unusable(detail, hint, '/credential/path')
  if (directory === null) {
    throw refuse('Credentials from files are not enabled.', 'Set REKEY_CREDENTIALS_DIR.')
  }
  if (path.includes('\0')) throw refuse('The path is not a path.')
  const root = await realpath(directory).catch(() => null)
  if (root === null) throw refuse('REKEY_CREDENTIALS_DIR does not exist.')
  const wanted = normalize(isAbsolute(path) ? path : join(root, path))
  const inside = relative(root, wanted)
  if (inside === '' || inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw refuse('The file does not lie below REKEY_CREDENTIALS_DIR.')
  }
  const real = await realpath(wanted).catch(() => null)
  if (real === null) throw refuse('The file does not exist.')
  // A link anywhere below the root makes the two differ.
  if (real !== wanted) throw refuse('The path leads through a link.')
  const file = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => null)
  if (file === null) throw refuse('The file cannot be read.')
  try {
    const stat = await file.stat({ bigint: true })
    if (!stat.isFile() || stat.size > BigInt(maxFileBytes)) {
      throw refuse('It is not a regular file of at most 64 kB.')
    }
    const text = (await file.readFile('utf8')).replace(/\r?\n$/, '')
    return { text: new Secret(text), changed: `${stat.ino}:${stat.mtimeNs}:${stat.size}` }
  } finally {
    await file.close()
  }
}

/** The key, if the connection may use it, and if using it does not lead back to the connection. */
const usableKey = async (db: Reads, keyName: string, connection: string): Promise<Key> => {
  const seen = new Set([connection])
  let first: Key | null = null
  let ref: CredentialRef = { from: 'key', key: keyName }
  let user = connection
  while (ref.from === 'key') {
    const key: Key | null = await db.keys.byName(ref.key) // oxlint-disable-line no-await-in-loop -- a chain
    // A key that is not there and one that does not allow it read the same: names are not to be guessed.
    if (!key || !key.usableBy.includes(user)) {
      throw unusable(
        `The connection "${user}" may not use the key "${ref.key}".`,
        `Add "${user}" to the key's usableBy.`,
        '/credential/key',
      )
    }
    first ??= key
    if (seen.has(key.connection)) {
      throw unusable(
        'The credential depends on the connection itself.',
        undefined,
        '/credential/key',
      )
    }
    seen.add(key.connection)
    user = key.connection
    const next: Connection | null = await db.connections.get(key.connection) // oxlint-disable-line no-await-in-loop -- a chain
    ref = next?.credential ?? { from: 'none' }
  }
  if (!first) throw unusable('The key does not exist.')
  return first
}
