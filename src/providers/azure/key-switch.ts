// Switching versions of a key off and on. Suspended is a version that makes nothing new: its operations are narrowed to those
// that read what it made, and what they were stands in a tag. In an incident, and where nothing would be left, it is disabled:
// nothing of it works then. One request sets it, so that a crash leaves the version as it was or as it shall be.

import type { KeyOperation } from '@azure/keyvault-keys'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import type { Azure } from './clients.ts'
import { readKey, readKeyVersion, type KeyRow } from './key-read.ts'
import {
  destroyed,
  isAlready,
  mustComeBack,
  noVersion,
  stateOfRow,
  suspendedTag,
  tag,
} from './versions.ts'

interface At {
  readonly azure: Azure
  readonly name: string
  readonly version: string
}

interface Change {
  readonly enabled: boolean
  readonly keyOps?: KeyOperation[]
  readonly tags?: Record<string, string>
}

const readsOnly: readonly string[] = ['verify', 'decrypt', 'unwrapKey']

export const switchKey = async (
  at: At,
  to: 'enabled' | 'disabled' | 'destroyed',
  call: Call,
): Promise<JsonObject> => {
  const { azure, name, version } = at
  const row = await readKeyVersion(azure, name, version, call)
  if (row === null) throw noVersion('key', version)
  const state = stateOfRow(row)
  const facts = { version, from: state, to }
  // Narrowed is not enough in an incident.
  const isNarrowed = state === 'disabled' && row.enabled
  if (isAlready(state, to) && !(isNarrowed && call.incident === true)) {
    return { ...facts, already: true }
  }
  mustComeBack(state, version)
  if (to !== 'enabled' && call.incident !== true) await mustNotServe(at, call)
  const change = changeTo(row, to, call)
  await azure.write(
    {
      client: 'keys',
      action: 'keys/update/action',
      scope: `/keys/${name}`,
      send: (keys, options) => keys.updateKeyProperties(name, version, { ...options, ...change }),
    },
    call,
  )
  return { ...facts, by: change.keyOps === undefined ? 'enabled' : 'operations' }
}

/** Tags and operations are of one look: what a version's operations were must not be lost. */
const changeTo = (row: KeyRow, to: 'enabled' | 'disabled' | 'destroyed', call: Call): Change => {
  const { [tag.state]: marked = '', ...tags } = row.tags
  if (to === 'destroyed') return { enabled: false, tags: { ...tags, [tag.state]: destroyed } }
  if (to === 'enabled') {
    if (!marked.startsWith(suspendedTag)) return { enabled: true }
    return { enabled: true, keyOps: marked.slice(suspendedTag.length).split(','), tags }
  }
  if (call.incident === true) return { enabled: false }
  const left = row.operations.filter((operation) => readsOnly.includes(operation))
  if (left.length === 0) return { enabled: false }
  return {
    enabled: true,
    keyOps: left,
    tags: { ...tags, [tag.state]: `${suspendedTag}${row.operations.join(',')}` },
  }
}

/** Callers who name no version get the newest one, or nothing where that is disabled: Key Vault does not fall back. */
const mustNotServe = async ({ azure, name, version }: At, call: Call): Promise<void> => {
  const served = await readKey(azure, name, null, call)
  if (served?.id !== version) return
  throw new ProviderError(
    'precondition',
    'none',
    `version ${version} is the one that versionless callers get`,
    { hint: 'make another version first; only an incident switches off the newest one' },
  )
}
