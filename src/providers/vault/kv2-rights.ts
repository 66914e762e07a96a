import type { Kv2Ref } from './refs.ts'
import type { Right } from './rights.ts'

/** Vault asks for `update` where a current version is there, and for `create` where none is: no secret yet, or a current
 *  version that an incident deleted. */
export const kv2Rights = (ref: Kv2Ref): readonly Right[] => [
  { name: 'describe', path: ref.metadataPath, capabilities: ['read'] },
  { name: 'describe', path: ref.dataPath, capabilities: ['read'] },
  { name: 'rotate', path: ref.dataPath, capabilities: ['update'] },
  { name: 'create', path: ref.dataPath, capabilities: ['create'] },
  { name: 'suspend', path: ref.switchPath.disabled, capabilities: ['update'] },
  { name: 'reinstate', path: ref.switchPath.enabled, capabilities: ['update'] },
  { name: 'destroy', path: ref.switchPath.destroyed, capabilities: ['update'] },
]

/** Names of secrets and of their fields, no values. */
export const kv2InventoryRights = (mount: string): readonly Right[] => [
  { name: 'inventory', path: `${mount}/metadata/*`, capabilities: ['list'] },
  { name: 'inventory', path: `${mount}/subkeys/*`, capabilities: ['read'] },
]
