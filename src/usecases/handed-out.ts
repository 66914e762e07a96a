import type { Connection } from '#domain/connection.ts'
import type { Version } from '#domain/key.ts'
import type { KeyType, Material } from '#domain/provider.ts'
import { carrier } from './rotation-scene.ts'

/** What consumers and publish targets get of a version: its material, in the form that the type gives it. */
export const handedOut = (
  type: KeyType,
  { settings }: Pick<Connection, 'settings'>,
  version: Version,
  material: Material,
): Material =>
  type.handedOut?.({ settings, providerVersion: carrier(version) }, material) ?? material
