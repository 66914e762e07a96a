// Names in Vault are paths. They are kept raw everywhere and encoded once, segment by segment, when a request is sent.

import { ProviderError } from '#domain/provider.ts'
import type { VaultSettings } from './settings.ts'

// One `.` or `..` would climb out of the mount after the server has cleaned the path; control characters are refused by
// Vault itself with an empty 400.
// eslint-disable-next-line no-control-regex
const unsafe = /[\u0000-\u001f\u007f]/

/** Joins raw parts, each of which may hold several segments, and drops slashes around them. Throws `permanent` on names
 *  that mean another place than they say. */
export const vaultPath = (...parts: readonly string[]): string => {
  const joined = parts.map(trimSlashes).join('/')
  const fault = pathFault(joined)
  if (fault !== null)
    throw new ProviderError('permanent', 'none', `the path cannot be used: ${fault}`)
  return joined
}

export const encodePath = (raw: string): string => raw.split('/').map(encodeURIComponent).join('/')

export const trimSlashes = (text: string): string => text.replace(/^\/+|\/+$/g, '')

const pathFault = (path: string): string | null => {
  if (!path.isWellFormed()) return 'it is not well-formed Unicode'
  if (unsafe.test(path)) return 'it has control characters'
  for (const segment of path.split('/')) {
    if (segment === '') return 'it has an empty segment'
    if (segment === '.' || segment === '..') return 'it has a segment of dots'
  }
  return null
}

/** One object, one id, however address, namespace and mount are spelt: scheme and default port do not count, and a
 *  namespace may stand in its setting or before the mount. */
export const objectPath = (
  settings: Pick<VaultSettings, 'address' | 'namespace'>,
  ...parts: readonly string[]
): string => {
  const url = new URL(settings.address)
  const port = url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port
  const namespace = trimSlashes(settings.namespace ?? '')
  const inside = namespace === '' || namespace === 'root' ? [] : [namespace]
  const base = trimSlashes(url.pathname)
  const before = base === '' ? [] : [base]
  return `${url.hostname}:${port}/${vaultPath(...before, ...inside, ...parts)}`
}
