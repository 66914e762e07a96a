// PostgreSQL: users that take turns.

import { generateSecret, generateSecretSchema } from '#domain/generate-secret.ts'
import type { ConnectArgs, KeyType, Provider, Session, TypeTraits } from '#domain/provider.ts'
import { check } from './check.ts'
import { handedOut } from './handed-out.ts'
import { inventory } from './inventory.ts'
import { objectIdOf } from './object-id.ts'
import { makePair } from './pair.ts'
import { documentsOf, missingRights } from './rights.ts'
import { readMe, readRoles } from './roles.ts'
import {
  addressOf,
  credentialSchema,
  readCredential,
  readSettings,
  schemeOf,
  settingsSchema,
} from './settings.ts'
import { refSchema, userOf, usersOf } from './versions.ts'
import { makeWire, statementMs } from './wire.ts'

const traits: TypeTraits = {
  slot: 'pair',
  staging: 'overlap',
  undo: 'reactivate',
  authority: 'self',
  revokes: 'version',
  suspend: true,
  exactlyOnce: 'cas',
  attribution: 'exact',
  usage: null,
  // A statement that has begun ends by then, and one on its way with a closed connection is not read.
  lateEffectMs: statementMs + 5_000,
  // One server decides who is let in, and what is committed holds from then on.
  consistency: { delayMs: 0, confirmations: 1 },
  limits: {},
  deliver: true,
  material: 'ours',
  publishTarget: false,
  publishable: true,
  verifies: ['roundTrip', 'login'],
  operations: [],
}

const user: KeyType = {
  type: 'postgres.user',
  title: 'Two users of PostgreSQL that take turns',
  traits,
  refSchema,
  generateSchema: generateSecretSchema,
  objectId: ({ settings, ref }) => objectIdOf(readSettings(settings), usersOf(ref)),
  leastPrivilege: (ref) => documentsOf(usersOf(ref)),
  handedOut,
  halves: { of: usersOf, holding: (ref, version) => userOf(usersOf(ref), version) },
  incident: { proof: 'material', truth: ['The sessions that it has open are ended.'] },
  generate: generateSecret,
}

const connect = ({ settings: given, credential, ports }: ConnectArgs): Session => {
  const settings = readSettings(given)
  const wire = makeWire({ settings, ports }, () => readCredential(credential))
  const at = { settings, ports, wire }
  return {
    ...makePair(at),
    check: (call, objects = []) => check(at, objects, call),
    missingRights: async (object, call) => {
      const roles = await readRoles(wire, usersOf(object.ref), call)
      return missingRights(await readMe(wire, call), roles)
    },
    inventory: (type, cursor, call) => inventory(at, type, cursor, call),
    close: () => wire.close(),
  }
}

export const postgres: Provider = {
  id: 'postgres',
  title: 'PostgreSQL',
  settingsSchema,
  credentialSchema,
  types: [user],
  endpoints: (settings) => {
    const at = readSettings(settings)
    return [`${schemeOf(at)}//${addressOf(at)}`]
  },
  connect,
}
