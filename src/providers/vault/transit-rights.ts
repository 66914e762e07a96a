import type { TransitRef } from './refs.ts'
import type { Right } from './rights.ts'
import type { TransitUse } from './transit-use.ts'

/** For verifying, only what the key's kind of use needs; encryption, the common kind, unless told. Making a
 *  key is an `update` to Vault; a key that is there needs no such right. */
export const transitRights = (
  ref: TransitRef,
  use: TransitUse = 'encryption',
): readonly Right[] => [
  { name: 'describe', path: ref.keyPath, capabilities: ['read'] },
  { name: 'create', path: ref.keyPath, capabilities: ['update'] },
  { name: 'rotate', path: ref.rotatePath, capabilities: ['update'] },
  ...operations[use].map((operation): Right => ({
    name: 'verify',
    path: ref.use(operation),
    capabilities: ['update'],
  })),
]

const operations = {
  encryption: ['encrypt', 'decrypt'],
  signing: ['sign', 'verify'],
  mac: ['hmac', 'verify'],
} as const

export const transitInventoryRights = (mount: string): readonly Right[] => [
  { name: 'inventory', path: `${mount}/keys`, capabilities: ['list'] },
]
