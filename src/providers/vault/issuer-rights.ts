import type { IssuerRef } from './refs.ts'
import type { Right } from './rights.ts'

/** Issuers get ids of Vault's choosing: their rights are over all issuers of the mount. */
export const issuerRights = (ref: IssuerRef): readonly Right[] => [
  { name: 'describe', path: ref.listPath, capabilities: ['list'] },
  { name: 'describe', path: ref.issuerPath('+'), capabilities: ['read'] },
  { name: 'describe', path: ref.configPath, capabilities: ['read'] },
  ...(ref.parent === null
    ? [{ name: 'rotate', path: ref.generatePath, capabilities: ['update'] } as const]
    : ([
        { name: 'rotate', path: ref.keysPath, capabilities: ['list'] },
        { name: 'rotate', path: ref.parent.requestPath, capabilities: ['update'] },
        { name: 'rotate', path: ref.parent.requestAgainPath, capabilities: ['update'] },
        { name: 'rotate', path: ref.parent.issuerPath, capabilities: ['read'] },
        { name: 'rotate', path: ref.parent.signPath, capabilities: ['update'] },
        { name: 'rotate', path: ref.parent.importPath, capabilities: ['update'] },
        { name: 'rotate', path: ref.issuerPath('+'), capabilities: ['patch'] },
      ] as const)),
  { name: 'rotate', path: ref.configPath, capabilities: ['update'] },
  { name: 'verify', path: ref.issuePath('+'), capabilities: ['update'] },
  { name: 'suspend', path: ref.issuerPath('+'), capabilities: ['patch'] },
  { name: 'destroy', path: ref.issuerPath('+'), capabilities: ['delete'] },
  { name: 'destroy', path: ref.keysPath, capabilities: ['list'] },
  { name: 'destroy', path: ref.keyPath('+'), capabilities: ['delete'] },
]
