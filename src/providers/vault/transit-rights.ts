import type { TransitRef } from './refs.ts'
import type { Right } from './rights.ts'
import type { TransitUse } from './transit-use.ts'

/** For verifying, only what the key's kind of use needs; encryption, the common kind, unless told. `create` on the key is
 *  needed where Rekey makes it, never for a key that is there. */
export const transitRights = (
  ref: TransitRef,
  use: TransitUse = 'encryption',
): readonly Right[] => [
  { name: 'describe', path: ref.keyPath, capabilities: ['read'] },
  { name: 'create', path: ref.keyPath, capabilities: ['create'] },
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
