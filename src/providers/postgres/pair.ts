// `postgres.user`: two users that take turns. One is in use; the other one, the standby, gets the new password. Nothing that is
// in use is ever changed by minting, so both halves work side by side until the old one is switched off.
//
// What the server holds of a password is a verifier that was made here; its salt names the version (versions.ts), and the
// server tells it to whoever begins to log in. So who set the password that a user has is seen without any right, and a
// password that somebody else set is never taken for ours, nor written over where ours was expected.
//
// A user is switched off by NOLOGIN, and its sessions are ended: it counts as off when both are so. Destroyed means that the
// verifier is one that no password opens; the user itself stays, as the place of the next but one password.

import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
  type ProviderVersion,
  type Session,
} from '#domain/provider.ts'
import { changeUser, createUsers } from './guarded-change.ts'
import { requireAlike, requireOrdinary, risksOf } from './pair-rules.ts'
import { halfOf, pairOf, type Pair, type PairAt } from './read-pair.ts'
import { requireRights } from './rights.ts'
import { madeAt, readHalves, readMe, stateOf, type Half } from './roles.ts'
import { switchUser } from './switch-user.ts'
import { verifierOf } from './verifier.ts'
import { verify } from './verify.ts'
import { emptyTag, markOf, partnerOf, tagOf, userOf, usersOf, versionOf } from './versions.ts'
import { mustHaveTime } from './wire.ts'

export const makePair = (
  at: PairAt,
): Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'> => {
  const { wire, ports } = at

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const users = usersOf(object.ref)
    const pair = await pairOf(at, users, call).catch((error: unknown) => {
      const missing = error instanceof ProviderError && error.kind === 'notFound'
      if (missing && current === null) return null
      throw error
    })
    // What is to be made yet.
    if (pair === null) return { preImage: {}, risks: [] }
    const me = await readMe(wire, call)
    requireOrdinary(me, pair, users)
    requireRights(me, pair)
    const used = current === null ? null : halfOf(pair, userOf(users, current) ?? '')
    if (current !== null && used?.version !== current)
      throw new ProviderError('conflict', 'none', foreignOf(current, used), {
        hint: 'to go on with the password that the user has now, delete the key here and register it anew',
      })
    const next = used === null ? pair[0] : halfOf(pair, partnerOf(users, used.name))
    if (used !== null && next !== null) requireAlike(used, next)
    return {
      preImage: { user: next?.name ?? '', salt: saltIn(next), mark: next?.mark ?? null },
      risks: used === null || next === null ? [] : risksOf(used, next),
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    mustHaveTime(call)
    const users = usersOf(order.object.ref)
    const tag = tagOf(order.operationId)
    const { user, salt, mark } = preImageOf(order)
    const [before] = users.includes(user) ? await readHalves(at, [user], call) : []
    if (before === undefined)
      throw new ProviderError('conflict', 'none', 'the standby was removed meanwhile')
    if (before.tag === tag) return mintedAt(user, tag)
    if (saltIn(before) !== salt)
      throw new ProviderError('conflict', 'none', 'the standby got another password meanwhile')
    const verifier = await verifierOf(order.material, tag)
    mustHaveTime(call)
    await changeUser(
      wire,
      {
        user,
        to: `LOGIN PASSWORD '${verifier}'`,
        seen: mark,
        mark: markOf(tag, users, ports.now()),
      },
      call,
    )
    return mintedAt(user, tag)
  }

  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const users = usersOf(order.object.ref)
    const tag = tagOf(order.operationId)
    const found = await readHalves(at, users, call)
    if (found[0]?.name === users[0] && found[0].tag === tag) return mintedAt(users[0], tag)
    if (found.length > 0)
      throw new ProviderError('conflict', 'none', 'a user of the pair exists already', {
        hint: 'register the pair without `create`',
      })
    const { serverVersion } = await readMe(wire, call)
    const verifier = await verifierOf(order.material, tag)
    mustHaveTime(call)
    const mark = markOf(tag, users, ports.now())
    await createUsers(wire, { users, verifier, mark }, serverVersion, call)
    return mintedAt(users[0], tag)
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const users = usersOf(order.object.ref)
    const tag = tagOf(order.operationId)
    const creates = order.preImage['user'] === undefined
    const { user, salt, mark } = preImageOf(order)
    const found = await readHalves(at, creates ? users : [user], call)
    const half = found.find(({ name }) => name === (creates ? users[0] : user))
    if (half?.tag === tag) return { answer: 'ours', value: mintedAt(half.name, tag) }
    if (creates)
      return found.length === 0
        ? { answer: 'absent' }
        : { answer: 'foreign', detail: 'a user of the pair exists, and was not made by this' }
    if (half === undefined) return { answer: 'foreign', detail: 'the standby was removed' }
    return saltIn(half) === salt && half.mark === mark
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: 'somebody else set the password of the standby' }
  }

  return {
    describe: async (object, call) => describe(await pairOf(at, usersOf(object.ref), call)),
    create,
    prepare,
    mint,
    probeMint,
    verify: (order, call) => verify(at, order, call),
    promote: () => unsupported('moving a pointer'),
    probePromote: () => unsupported('moving a pointer'),
    suspend: (object, version, call) => switchUser(at, object, { version, to: 'disabled' }, call),
    reinstate: (object, version, call) => switchUser(at, object, { version, to: 'enabled' }, call),
    retire: (object, version, how, call) =>
      switchUser(at, object, { version, to: how === 'destroy' ? 'destroyed' : 'disabled' }, call),
    stateOf: async (object, version, call) => {
      const user = userOf(usersOf(object.ref), version)
      const [half] = user === null ? [] : await readHalves(at, [user], call)
      return half?.version === version ? stateOf(half) : 'absent'
    },
    lastUsed: async () => null,
    readMaterial: () => unsupported('reading a password, of which the server keeps a verifier,'),
    operate: () => unsupported('using a user'),
  }
}

const describe = (pair: Pair): Described => ({
  versions: pair
    .filter(({ tag }) => tag !== emptyTag)
    .map((half): ProviderVersion => {
      const createdAt = madeAt(half)
      return {
        id: half.version,
        state: stateOf(half),
        // Nobody asks the server for a password: which of the two is in use is not known to it.
        current: false,
        ...(createdAt === null ? {} : { createdAt }),
        ...(half.validUntil === null ? {} : { expiresAt: half.validUntil }),
      }
    }),
  facts: {
    users: pair.map(({ name, login, sessions, memberOf }) => ({
      user: name,
      login,
      sessions,
      memberOf: [...memberOf],
    })),
  },
})

const foreignOf = (current: string, half: Half | null): string =>
  half === null
    ? `${current} is no version of a user of this pair`
    : `the password of ${half.name}, which is in use, was changed by somebody else`

const mintedAt = (user: string, tag: string): Minted => ({
  providerVersion: versionOf(user, tag),
  facts: { user },
})

/** Base64. Told to whoever begins to log in: no secret. */
const saltIn = (half: Half | null | undefined): string | null =>
  half?.greeting.salt?.toString('base64') ?? null

const preImageOf = ({
  preImage,
}: MintOrder): {
  readonly user: string
  readonly salt: string | null
  readonly mark: string | null
} => {
  const text = (name: string): string | null => {
    const value = preImage[name]
    return typeof value === 'string' ? value : null
  }
  return { user: text('user') ?? '', salt: text('salt'), mark: text('mark') }
}

const unsupported = async (what: string): Promise<never> => {
  throw new ProviderError('unsupported', 'none', `${what} is not possible in PostgreSQL`)
}
