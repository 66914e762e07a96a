// `vault.approle.secretId`: the second half of what an application logs in to Vault with. A role may have any number of them,
// all valid at once, none of them "current": which one is handed out is Rekey's to say.
//
// Vault takes a secret_id that the caller has chosen, and takes each once. So ours is made here, sealed before it is sent, and
// the same order sent twice makes one: a version is named by its accessor, and whether it is there is asked by the secret_id.
// It carries the operation's id as metadata, which Vault writes on every token that the secret_id is exchanged for: that is
// how the tokens of one secret_id are told from those of another.
//
// Nothing lies between there and gone: a secret_id cannot be switched off for a while. Retiring it destroys it.

import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
} from '#domain/provider.ts'
import { readSecretIdRef, type SecretIdRef } from './refs.ts'
import { requireRights } from './rights.ts'
import {
  factsOf,
  listAccessors,
  lookUp,
  lookUpAccessor,
  operationField,
  readRole,
  type SecretIdTold,
  versionOf,
} from './secret-id-read.ts'
import { secretIdRights } from './secret-id-rights.ts'
import { endTokens } from './secret-id-tokens.ts'
import { makeSecretIdUse, type SecretIdUseAt } from './secret-id-use.ts'
import type { ObjectType } from './session.ts'
import { materialText } from '../material-text.ts'
import { fieldsOf, numberOf, textsOf, type Fields } from '../untyped-json.ts'

/** As many are asked about one by one; of more only the accessors are known. */
const mostLookedUp = 20
const together = 5

/** Each is used up by logging in: once for each confirmation, and by the next preflight. */
const usesForProof = 3

export const makeSecretId = (at: SecretIdUseAt): ObjectType => {
  const { ask, ports } = at
  const { now } = ports
  const use = makeSecretIdUse(at)

  const roleOf = async (ref: SecretIdRef, call: Call): Promise<Fields> => {
    const role = await readRole(ask, ref, call)
    if (role !== null) return role
    throw new ProviderError('notFound', 'none', 'there is no such AppRole in Vault', {
      hint: `nothing is at ${ref.rolePath}: make the role first`,
    })
  }

  const accessorsOf = async (ref: SecretIdRef, call: Call): Promise<readonly string[]> => {
    const found = (await listAccessors(ask, ref, call)) ?? []
    if (found.length > 0) return found
    await roleOf(ref, call)
    throw new ProviderError('notFound', 'none', 'the AppRole has no secret_id', {
      hint: 'register it with `create: true` to have its first one made',
    })
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = readSecretIdRef(object.ref)
    const accessors = await accessorsOf(ref, call)
    const facts = { ...factsOf(await roleOf(ref, call)), secretIds: accessors.length }
    if (accessors.length > mostLookedUp) {
      const versions = accessors.map((id) => ({ id, state: 'enabled', current: false }) as const)
      return { versions, facts }
    }
    const told: (SecretIdTold | null)[] = []
    for (let i = 0; i < accessors.length; i += together) {
      const few = accessors.slice(i, i + together)
      // oxlint-disable-next-line no-await-in-loop -- a few at a time
      told.push(...(await Promise.all(few.map((id) => lookUpAccessor(ask, ref, id, now(), call)))))
    }
    return { versions: told.filter((one) => one !== null).map(versionOf), facts }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = readSecretIdRef(object.ref)
    const role = await roleOf(ref, call)
    mustBeProvable(role)
    const accessors =
      current === null
        ? ((await listAccessors(ask, ref, call)) ?? [])
        : await accessorsOf(ref, call)
    if (current !== null && !accessors.includes(current))
      throw new ProviderError('notFound', 'none', 'Vault has no such secret_id (any more)', {
        hint: `nothing of the accessor ${current} is at ${ref.listPath}: it was destroyed, used up, or has ended`,
      })
    await requireRights(
      ask,
      secretIdRights(ref).filter(({ name }) => name === 'rotate' || name === 'verify'),
      call,
    )
    return {
      preImage: { accessors: [...accessors], ...factsOf(role) },
      risks: risksOf(role, accessors.length),
    }
  }

  /** Ours, or null. */
  const find = async (order: MintOrder, call: Call): Promise<Minted | null> => {
    const ref = readSecretIdRef(order.object.ref)
    const told = await lookUp(ask, ref, materialText(order.material), now(), call)
    return told === null ? null : minted(told.accessor)
  }

  /** Those that somebody else made since the pre-image. */
  const appeared = async (order: MintOrder, call: Call): Promise<readonly string[]> => {
    const ref = readSecretIdRef(order.object.ref)
    const before = new Set(textsOf(fieldsOf(order.preImage)['accessors']))
    const there = (await listAccessors(ask, ref, call)) ?? []
    return there.filter((accessor) => !before.has(accessor))
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readSecretIdRef(order.object.ref)
    const secretId = materialText(order.material)
    const ours = await find(order, call)
    if (ours !== null) return ours
    const [foreign] = await appeared(order, call)
    if (foreign !== undefined)
      throw new ProviderError('conflict', 'none', 'somebody else made a secret_id for the role', {
        hint: `its accessor is ${foreign}: give each application a role of its own`,
      })
    const reply = await ask(
      {
        verb: 'write',
        path: ref.customPath,
        body: {
          secret_id: secretId,
          metadata: JSON.stringify({ [operationField]: order.operationId }),
        },
        changes: true,
        // Of an earlier request for the same order that arrived late.
        acceptSaying: /SecretID is already registered/,
      },
      call,
    )
    const accessor = reply.data['secret_id_accessor']
    if (typeof accessor === 'string') return minted(accessor)
    const made = await find(order, call)
    if (made !== null) return made
    throw new ProviderError('conflict', 'none', 'Vault knows the secret_id of another role')
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ours = await find(order, call)
    if (ours !== null) return { answer: 'ours', value: ours }
    const [foreign] = await appeared(order, call)
    return foreign === undefined
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `somebody else made the secret_id of accessor ${foreign}` }
  }

  const retire = async (
    object: ObjectAddress,
    accessor: string,
    how: 'disable' | 'destroy',
    call: Call,
  ) => {
    const ref = readSecretIdRef(object.ref)
    const there = await lookUpAccessor(ask, ref, accessor, now(), call)
    if (there !== null)
      await ask(
        {
          verb: 'write',
          path: ref.destroyPath,
          body: { secret_id_accessor: accessor },
          changes: true,
          // Somebody was faster.
          acceptSaying: /failed to find accessor entry/,
        },
        call,
      )
    // From here no new token comes of it. A crash here leaves those that there are to their ends: with the secret_id the only
    // word is gone that tells which they are.
    if (there === null) return { accessor, already: true }
    const all = how === 'destroy' || call.incident === true
    const tokens = all
      ? await endTokens(ask, ref.role, there.operation, call)
      : 'left to their ends'
    return { accessor, tokens }
  }

  return {
    rights: async (object) => secretIdRights(readSecretIdRef(object.ref)),
    describe,
    prepare,
    mint,
    create: mint,
    probeMint,
    verify: (order, call) => use.verify(order, call),
    promote: async () => {
      throw unsupported('choosing the current secret_id of a role')
    },
    probePromote: async () => {
      throw unsupported('choosing the current secret_id of a role')
    },
    suspend: async () => {
      throw unsupported('switching off a secret_id')
    },
    reinstate: async () => {
      throw unsupported('switching on a secret_id')
    },
    retire,
    stateOf: async (object, accessor, call) => {
      const ref = readSecretIdRef(object.ref)
      return (await lookUpAccessor(ask, ref, accessor, now(), call)) === null ? 'absent' : 'enabled'
    },
    lastUsed: async () => null,
    readMaterial: async (object, accessor, call) => {
      const ref = readSecretIdRef(object.ref)
      if ((await lookUpAccessor(ask, ref, accessor, now(), call)) === null)
        throw new ProviderError('notFound', 'none', 'Vault has no such secret_id (any more)')
      throw unsupported('reading a secret_id')
    },
    operate: async () => {
      throw unsupported('using a secret_id')
    },
  }
}

const mustBeProvable = (role: Fields): void => {
  if (role['bind_secret_id'] === false)
    throw new ProviderError('precondition', 'none', 'the role asks for no secret_id at login', {
      hint: 'set bind_secret_id=true on it',
    })
  const uses = numberOf(role['secret_id_num_uses'])
  if (uses > 0 && uses <= usesForProof)
    throw new ProviderError(
      'precondition',
      'none',
      `a secret_id of the role is good for ${uses} logins, and proving it takes ${usesForProof}`,
      { hint: 'raise secret_id_num_uses of the role, or set it to 0' },
    )
}

const risksOf = (role: Fields, there: number): readonly string[] => {
  const uses = numberOf(role['secret_id_num_uses'])
  const ttl = numberOf(role['secret_id_ttl'])
  return [
    'A secret_id cannot be switched off for a while: retire: disable and retire: destroy destroy it. The tokens that it was exchanged for go on to their ends, unless it is destroyed.',
    ...(uses > 0
      ? [
          `Each secret_id is good for ${uses} logins, of which proving it takes up to ${usesForProof}.`,
        ]
      : []),
    ...(ttl > 0 ? [`Vault ends each secret_id of the role ${ttl} s after it was made.`] : []),
    ...(role['token_type'] === 'batch'
      ? ['The role gives out batch tokens, which nobody can revoke.']
      : []),
    ...(there > 1
      ? [`The role has ${there} secret_ids: those that Rekey does not know stay.`]
      : []),
  ]
}

const minted = (accessor: string): Minted => ({ providerVersion: accessor, facts: { accessor } })

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Vault`)
