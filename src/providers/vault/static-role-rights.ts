import type { StaticRoleRef } from './refs.ts'
import type { Right } from './rights.ts'

export const staticRoleRights = (ref: StaticRoleRef): readonly Right[] => [
  { name: 'describe', path: ref.rolePath, capabilities: ['read'] },
  { name: 'rotate', path: ref.rotatePath, capabilities: ['update'] },
  { name: 'verify', path: ref.credentialPath, capabilities: ['read'] },
]

export const staticRoleInventoryRights = (mount: string): readonly Right[] => [
  { name: 'inventory', path: `${mount}/static-roles`, capabilities: ['list'] },
]
