// `doppler.serviceToken`: the service tokens of a config with one kind of access. Several are valid at once, so that a new one
// is there, proven by use, before the old one is deleted. Doppler shows a token once, in the answer that makes it.
//
// Making one is not idempotent. Its name carries the operation: a token of that name whose answer was lost is ours, and is of
// no use, since nobody knows it. It is deleted, and another is made under the next attempt. What a crash leaves: before the
// request, nothing; after it, one token that the probe finds by its name; after the record of it, a sealed token.
//
// A token cannot be switched off and on again: `retire: disable` and `retire: destroy` both delete it, at once and for ever.

import { createHash } from 'node:crypto'
import {
  ProviderError,
  type Call,
  type MintOrder,
  type Minted,
  type ObjectAddress,
  type ProviderVersion,
  type Session,
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import type { Ask } from './client.ts'
import { readTokenRef, type TokenRef } from './refs.ts'
import { rightOf } from './rights.ts'
import { fieldsOf, rowsOf, textOf, textsOf } from '../untyped-json.ts'

type TokenSession = Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'>

interface Row {
  readonly slug: string
  readonly name: string
  readonly createdAt: Date | null
  readonly expiresAt: Date | null
}

const path = '/v3/configs/config/tokens'

export const makeTokens = (ask: Ask, now: () => Date): TokenSession => {
  const describe: Session['describe'] = async (object, call) => {
    const ref = readTokenRef(object.ref)
    const rows = await rowsAt(ask, ref, call)
    if (rows.length === 0)
      throw new ProviderError('notFound', 'none', 'the config has no such service token', {
        hint: `no token of ${ref.at} is named so and has the access "${ref.access}"`,
      })
    return { versions: rows.map((row) => versionOf(row, now())), facts: { access: ref.access } }
  }

  const prepare: Session['prepare'] = async (object, current, call) => {
    const ref = readTokenRef(object.ref)
    const rows = await rowsAt(ask, ref, call)
    if (current !== null && !rows.some(({ slug }) => slug === current))
      throw new ProviderError('notFound', 'none', 'the service token is not there any more', {
        hint: `nobody can use ${current}: register the key anew, or make a token by create`,
      })
    const expiring = rows.find(({ slug, expiresAt }) => slug === current && expiresAt !== null)
    return {
      preImage: { slugs: rows.map(({ slug }) => slug) },
      risks: [
        'A service token cannot be switched off for a while: retire: disable and retire: destroy delete it.',
        ...(expiring?.expiresAt
          ? [
              `The present token ends by itself at ${expiring.expiresAt.toISOString()}; a new one does not.`,
            ]
          : []),
      ],
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readTokenRef(order.object.ref)
    const rows = await rowsAt(ask, ref, call)
    if (foreignIn(rows, order) !== null || rows.some(({ name }) => name === nameOf(ref, order)))
      throw new ProviderError('conflict', 'none', 'a token appeared since the config was read')
    return make(ref, order, call)
  }

  const make = async (ref: TokenRef, order: MintOrder, call: Call): Promise<Minted> => {
    const { body } = await ask(
      {
        method: 'POST',
        path,
        body: { ...ref.place, name: nameOf(ref, order), access: ref.access },
        needs: rightOf.tokens,
        at: ref.at,
      },
      call,
    )
    const made = fieldsOf(body['token'])
    const [slug, key] = [textOf(made['slug']), textOf(made['key'])]
    if (slug === '' || key === '')
      throw new ProviderError('outcomeUnknown', 'unknown', 'Doppler’s answer cannot be read')
    return {
      providerVersion: slug,
      material: new Secret(key),
      facts: { name: nameOf(ref, order), access: ref.access },
    }
  }

  const probeMint: Session['probeMint'] = async (order, call) => {
    const ref = readTokenRef(order.object.ref)
    const rows = await rowsAt(ask, ref, call)
    const ours = rows.find(({ name }) => name === nameOf(ref, order))
    if (ours !== undefined)
      return {
        answer: 'ours',
        value: { providerVersion: ours.slug, facts: { name: ours.name } },
        secretLost: true,
      }
    const foreign = foreignIn(rows, order)
    return foreign === null
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `somebody else made the token ${foreign.slug}` }
  }

  const stateOf: Session['stateOf'] = async (object, version, call) => {
    const row = (await rowsAt(ask, readTokenRef(object.ref), call)).find(
      ({ slug }) => slug === version,
    )
    return row === undefined ? 'absent' : versionOf(row, now()).state
  }

  const verify = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const { how, object, providerVersion, material } = order
    if (how !== 'roundTrip' && how !== 'login' && how !== 'refused')
      throw unsupported(`verifying a service token by ${how}`)
    if (how === 'refused') return isRefused(object, { providerVersion, material }, call)
    if (material !== null)
      return logsIn(readTokenRef(object.ref), { providerVersion, material }, call)
    // Registered without its value: that Doppler lists it is all that can be seen.
    const state = await stateOf(object, providerVersion, call)
    return state === 'enabled'
      ? { ok: true, facts: { operation: 'list', used: false } }
      : { ok: false, detail: `the token is ${state}`, facts: { operation: 'list', used: false } }
  }

  /** As its holder: which token it is, and that the config opens to it. */
  const logsIn = async (
    ref: TokenRef,
    {
      providerVersion,
      material,
    }: { providerVersion: string; material: Secret<string | Uint8Array> },
    call: Call,
  ): Promise<Verdict> => {
    const as = new Secret(revealText(material))
    const told = await whoIs(as, call)
    const facts = { operation: 'me', used: true, status: told.status }
    if (told.status !== 200) return { ok: false, detail: 'Doppler refuses the token', facts }
    if (told.slug !== providerVersion) return { ok: false, detail: 'it is another token', facts }
    const { status, body } = await ask(
      {
        method: 'GET',
        path: '/v3/configs/config/secrets/names',
        query: { ...ref.place, include_dynamic_secrets: 'false' },
        needs: 'the token itself',
        at: ref.at,
        as,
        accept: [400, 401, 403, 404],
      },
      call,
    )
    return status === 200
      ? { ok: true, facts: { ...facts, secrets: textsOf(body['names']).length } }
      : { ok: false, detail: 'the config does not open to the token', facts: { ...facts, status } }
  }

  const whoIs = async (
    as: Secret,
    call: Call,
  ): Promise<{ readonly status: number; readonly slug: string }> => {
    const { status, body } = await ask(
      {
        method: 'GET',
        path: '/v3/me',
        needs: 'the token itself',
        at: 'Doppler',
        as,
        // Nothing else says that the token itself is refused: a 403 may be a network's or a plan's, a 404 a wrong address.
        accept: [401],
      },
      call,
    )
    return { status, slug: textOf(body['slug']) }
  }

  /** Refused to whoever holds it, where Rekey does; else gone from the list. */
  const isRefused = async (
    object: ObjectAddress,
    { providerVersion, material }: Pick<VerifyOrder, 'providerVersion' | 'material'>,
    call: Call,
  ): Promise<Verdict> => {
    if (material !== null) {
      const { status, slug } = await whoIs(new Secret(revealText(material)), call)
      const facts = { operation: 'me', used: true, status }
      if (status === 401) return { ok: true, facts }
      const detail =
        slug === providerVersion
          ? 'Doppler still accepts the token'
          : 'Doppler accepts what Rekey holds of it, as another token'
      return { ok: false, detail, facts }
    }
    const state = await stateOf(object, providerVersion, call)
    const facts = { operation: 'list', used: false, state }
    return state === 'enabled'
      ? { ok: false, detail: 'Doppler still lists the token', facts }
      : { ok: true, facts }
  }

  const retire: Session['retire'] = async (object, version, _how, call) => {
    const ref = readTokenRef(object.ref)
    const rows = await rowsAt(ask, ref, call)
    if (!rows.some(({ slug }) => slug === version)) return { already: true }
    // Gone meanwhile is gone.
    await ask(
      {
        method: 'DELETE',
        path: `${path}/token`,
        body: { ...ref.place, slug: version },
        needs: rightOf.tokens,
        at: ref.at,
        accept: [404],
      },
      call,
    )
    return { deleted: true }
  }

  return {
    describe,
    prepare,
    mint,
    probeMint,
    create: async (order, call) => {
      const ref = readTokenRef(order.object.ref)
      const rows = await rowsAt(ask, ref, call)
      const ours = rows.find(({ name }) => name === nameOf(ref, order))
      if (rows.length > 0)
        throw new ProviderError(
          'conflict',
          'none',
          ours === undefined
            ? 'the config has such a service token already'
            : 'the token was made, and its value is lost',
          { hint: 'register it without `create`, or give the key a `name` of its own in its ref' },
        )
      return make(ref, order, call)
    },
    verify,
    promote: async () => {
      throw unsupported('moving a pointer')
    },
    probePromote: async () => {
      throw unsupported('moving a pointer')
    },
    suspend: async () => {
      throw unsupported('switching a service token off for a while')
    },
    reinstate: async () => {
      throw unsupported('switching a service token on again')
    },
    retire,
    stateOf,
    lastUsed: async () => null,
    readMaterial: async () => {
      throw unsupported('reading a service token again')
    },
    operate: async () => {
      throw unsupported('using a service token')
    },
  }
}

/** All of the object, oldest first. Doppler lists no access for some; those count by their name. */
const rowsAt = async (ask: Ask, ref: TokenRef, call: Call): Promise<readonly Row[]> => {
  const { body } = await ask(
    { method: 'GET', path, query: { ...ref.place }, needs: rightOf.tokens, at: ref.at },
    call,
  )
  return rowsOf(body['tokens'])
    .filter((row) => isOf(ref, textOf(row['name']), row['access']))
    .map((row) => ({
      slug: textOf(row['slug']),
      name: textOf(row['name']),
      createdAt: dateOf(row['created_at']),
      expiresAt: dateOf(row['expires_at']),
    }))
    .toSorted((a, b) => (a.createdAt?.getTime() ?? 0) - (b.createdAt?.getTime() ?? 0))
}

const isOf = (ref: TokenRef, name: string, access: unknown): boolean =>
  (typeof access !== 'string' || access === ref.access) &&
  (ref.name === null || name === ref.name || name.startsWith(`${ref.name}#`))

const dateOf = (value: unknown): Date | null => {
  const date = new Date(textOf(value))
  return Number.isNaN(date.getTime()) ? null : date
}

/** One operation, one name. */
const nameOf = (ref: TokenRef, { operationId }: Pick<MintOrder, 'operationId'>): string =>
  `${ref.name ?? 'rekey'}#${createHash('sha256').update(operationId).digest('hex').slice(0, 16)}`

/** A token that was not there when the order was prepared, and is not of this order. */
const foreignIn = (rows: readonly Row[], order: MintOrder): Row | null => {
  const known = new Set(textsOf(order.preImage['slugs']))
  return rows.find(({ slug }) => !known.has(slug)) ?? null
}

const versionOf = ({ slug, createdAt, expiresAt }: Row, now: Date): ProviderVersion => ({
  id: slug,
  state: expiresAt !== null && expiresAt <= now ? 'disabled' : 'enabled',
  current: false,
  ...(createdAt === null ? {} : { createdAt }),
  ...(expiresAt === null ? {} : { expiresAt }),
})

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Doppler`)
