import type { SecretIdRef } from './refs.ts'
import type { Right } from './rights.ts'

export const secretIdRights = (ref: SecretIdRef): readonly Right[] => [
  { name: 'describe', path: ref.rolePath, capabilities: ['read'] },
  { name: 'describe', path: ref.listPath, capabilities: ['list'] },
  { name: 'describe', path: ref.lookUpAccessorPath, capabilities: ['update'] },
  { name: 'rotate', path: ref.customPath, capabilities: ['update'] },
  { name: 'rotate', path: ref.lookUpPath, capabilities: ['update'] },
  { name: 'verify', path: ref.roleIdPath, capabilities: ['read'] },
  { name: 'destroy', path: ref.destroyPath, capabilities: ['update'] },
]

/** To end the tokens that a destroyed secret_id was exchanged for. Vault lists the accessors of all tokens, or of none. */
export const tokenRights: readonly Right[] = [
  { name: 'revokeTokens', path: 'auth/token/accessors', capabilities: ['list', 'sudo'] },
  { name: 'revokeTokens', path: 'auth/token/lookup-accessor', capabilities: ['update'] },
  { name: 'revokeTokens', path: 'auth/token/revoke-accessor', capabilities: ['update'] },
]

export const secretIdInventoryRights = (authPath: string): readonly Right[] => [
  { name: 'inventory', path: `${authPath}/role`, capabilities: ['list'] },
]
