// Every provider that is part of Rekey. A new one is a folder and a line here; those from outside come by outside.ts.

import type { KeyType, Provider } from '#domain/provider.ts'
import { aws } from './aws/provider.ts'
import { azure } from './azure/provider.ts'
import { doppler } from './doppler/provider.ts'
import { files } from './file/provider.ts'
import { jwks } from './jwks/provider.ts'
import { local } from './local/provider.ts'
import { manual } from './manual/provider.ts'
import { pkcs11 } from './pkcs11/provider.ts'
import { postgres } from './postgres/provider.ts'
import { vault } from './vault/provider.ts'

export const providers: readonly Provider[] = [
  local,
  jwks,
  vault,
  postgres,
  aws,
  azure,
  doppler,
  files,
  manual,
  pkcs11,
]

/** The declaration of a key type, by its name over all of them. */
export const keyTypesOf = (of: readonly Provider[]): ReadonlyMap<string, KeyType> =>
  new Map(of.flatMap((provider) => provider.types.map((type) => [type.type, type] as const)))

export const keyTypes = keyTypesOf(providers)
