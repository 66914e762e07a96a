// `vault.database.staticRole`: the password of one user of a database, which Vault makes, sets there and hands out.
//
// A role has one password: rotating overwrites it, in Vault and in the database, and nothing brings the former one back. So a
// version is named by the moment of its rotation (`last_vault_rotation`, to the nanosecond), the only thing by which Vault
// tells one password from the next. `rotate-role` takes no token and no check-and-set: it is sent once, only while that moment
// is the one of the pre-image, and after a lost answer the probe looks whether it has moved. Who moved it cannot be told.
//
// Vault also rotates by itself (`rotation_period` or `rotation_schedule`: a role has one of them). That is told as the end of
// the version that serves, so that a role that Vault would rotate first is found before it happens.

import {
  ProviderError,
  type Call,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
} from '#domain/provider.ts'
import { readStaticRoleRef, type StaticRoleRef } from './refs.ts'
import { requireRights } from './rights.ts'
import type { ObjectType } from './session.ts'
import { factsOf, ownRotation, readRole, type Role, versionOf } from './static-role-read.ts'
import { staticRoleRights } from './static-role-rights.ts'
import { makeStaticRoleUse, type StaticRoleUseAt } from './static-role-use.ts'
import { fieldsOf, textOf } from '../untyped-json.ts'

export const makeStaticRole = (at: StaticRoleUseAt): ObjectType => {
  const { ask } = at
  const use = makeStaticRoleUse(at)

  const describe = async (ref: StaticRoleRef, call: Call): Promise<Role> => {
    const role = await readRole(ask, ref, call)
    if (role !== null) return role
    throw new ProviderError('notFound', 'none', 'there is no such static role in Vault', {
      hint: `nothing is at ${ref.rolePath}`,
    })
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = readStaticRoleRef(object.ref)
    const role = await describe(ref, call)
    if (role.kind !== 'password')
      throw new ProviderError('unsupported', 'none', 'Rekey rotates static roles with passwords', {
        hint: `the credential_type of ${ref.rolePath} is ${role.kind}`,
      })
    if (current !== null && current !== role.rotatedAt)
      throw new ProviderError('conflict', 'none', rotatedBy(role), {
        hint: `Rekey holds that of ${current}: see that Vault’s own rotation comes later than Rekey’s (${ownRotation(role)}), then delete the key here and register it anew; or leave it to Vault with observe: native`,
      })
    await requireRights(
      ask,
      staticRoleRights(ref).filter(({ name }) => name !== 'describe'),
      call,
    )
    return { preImage: { rotatedAt: role.rotatedAt, ...factsOf(role) }, risks: risksOf(role) }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readStaticRoleRef(order.object.ref)
    const pre = rotatedAtIn(order)
    const before = await describe(ref, call)
    if (before.rotatedAt !== pre)
      throw new ProviderError('conflict', 'none', rotatedBy(before), {
        hint: `it was at ${pre} when the rotation began`,
      })
    await ask({ verb: 'write', path: ref.rotatePath, body: {}, changes: true }, call)
    return minted(await momentAfter(ref, pre, call))
  }

  // The effect is done: a failure to read its moment leaves it unknown, and the probe finds it.
  const momentAfter = async (ref: StaticRoleRef, pre: string, call: Call): Promise<string> => {
    let kind: 'timeout' | 'outcomeUnknown' = 'outcomeUnknown'
    try {
      const { rotatedAt } = await describe(ref, call)
      if (rotatedAt !== pre) return rotatedAt
    } catch (error) {
      if (error instanceof ProviderError && error.kind === 'timeout') kind = 'timeout'
    }
    throw new ProviderError(kind, 'unknown', 'the role was rotated, but when could not be read')
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const pre = rotatedAtIn(order)
    const role = await readRole(ask, readStaticRoleRef(order.object.ref), call)
    if (role === null)
      return { answer: 'foreign', detail: `the role, rotated at ${pre} before, was deleted` }
    return role.rotatedAt === pre
      ? { answer: 'absent' }
      : { answer: 'goalMet', value: minted(role.rotatedAt) }
  }

  const stateOf = async (
    object: ObjectAddress,
    version: string,
    call: Call,
  ): Promise<'enabled' | 'absent'> => {
    const role = await readRole(ask, readStaticRoleRef(object.ref), call)
    return role?.rotatedAt === version ? 'enabled' : 'absent'
  }

  return {
    rights: async (object) => staticRoleRights(readStaticRoleRef(object.ref)),
    describe: async (object, call) => {
      const role = await describe(readStaticRoleRef(object.ref), call)
      return { versions: [versionOf(role)], facts: factsOf(role) }
    },
    prepare,
    mint,
    create: async () => {
      throw unsupported('making a static role, which needs a user of a database,')
    },
    probeMint,
    verify: (order, call) => use.verify(order, call),
    promote: async () => {
      throw unsupported('choosing the password of a static role')
    },
    probePromote: async () => {
      throw unsupported('choosing the password of a static role')
    },
    suspend: async () => {
      throw unsupported('switching off the password of a static role')
    },
    reinstate: async () => {
      throw unsupported('bringing back the password of a static role')
    },
    retire: async (object, version, _how, call) => {
      if ((await stateOf(object, version, call)) === 'absent') return { version, already: true }
      throw new ProviderError('precondition', 'none', 'it is the password that is in force', {
        hint: 'rotate the role: that ends it',
      })
    },
    stateOf,
    lastUsed: async () => null,
    readMaterial: (object, version, call) => use.read(readStaticRoleRef(object.ref), version, call),
    operate: async () => {
      throw unsupported('using a static role')
    },
  }
}

const rotatedBy = ({ rotatedAt }: Role): string =>
  `Vault, or somebody who is not Rekey, rotated the role at ${rotatedAt}`

const risksOf = (role: Role): readonly string[] => [
  `The password of ${role.username} stops working with the rotation, before anybody has the next one, and nothing brings it back. Sessions that are open go on.`,
  `Vault rotates it by itself too (${ownRotation(role)}, counted anew from each rotation).`,
]

const rotatedAtIn = (order: MintOrder): string => textOf(fieldsOf(order.preImage)['rotatedAt'])

const minted = (rotatedAt: string): Minted => ({
  providerVersion: rotatedAt,
  facts: { rotatedAt },
})

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Vault`)
