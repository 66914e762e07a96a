// What consumers do with keys through Rekey: read the value, sign, encrypt, decrypt. A consumer is bound to keys by its token:
// to those that the token lists, or to those that its consumer uses.
//
// Each reading of a value is one audit event. Cryptographic operations come in floods, so they are one event for a principal,
// key, operation and outcome a minute, which counts those since the one before (9-security.md 11: the log cannot be
// flooded). What was not yet counted when a process ends is lost from the count, never the first use in a minute.

import { type Actor, hasRole } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Key, Version } from '#domain/key.ts'
import type { Receipt } from '#domain/audit.ts'
import type { Clock, Ledger, Reads, Sessions } from '#domain/ports.ts'
import type { CryptoOperation, KeyType, Session } from '#domain/provider.ts'
import { revealBytes, Secret } from '#domain/secret.ts'
import { consumersOfKey } from './consumers-of-key.ts'
import { handedOut } from './handed-out.ts'
import type { Tally } from './tally.ts'
import { asking } from './provider-failures.ts'
import { callMs } from './prove-version.ts'
import { mustBeReconciled } from './recovery-mode.ts'
import { addressOf, findType, type Providers } from './registration.ts'
import { isAdmin, mustSee, notFound } from './rights.ts'

export interface UseKeyDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly providers: Providers
  readonly clock: Clock
  /** Shared by all requests of a process. */
  readonly tally: Tally
}

export interface ReadValue {
  readonly version: number
  readonly value: Secret<Uint8Array>
  readonly receipt: Receipt
}

export const readValue =
  (deps: Omit<UseKeyDeps, 'tally'>) =>
  async (
    actor: Actor,
    { name, version }: { readonly name: string; readonly version?: number },
  ): Promise<ReadValue> => {
    const used = await findUsed(deps, actor, name, version, ['active'])
    if (!used.type.traits.deliver) {
      throw new RekeyError('key.notDeliverable', {
        detail: `A ${used.type.type} is used where it is, not read.`,
      })
    }
    // Recorded before it is handed over: nobody holds a value that the log does not know of.
    const receipt = await deps.ledger.note(actor, {
      action: 'key.valueRead',
      target: { id: used.key.id, name },
      outcome: 'succeeded',
      after: { version: used.version.version, consumer: actor.consumer },
    })
    const { sealedId } = used.version
    const sealed =
      sealedId === null ? null : await deps.ledger.read((db) => db.sealed.open(sealedId))
    const material =
      sealed ??
      (await asking(() =>
        used.session.readMaterial(addressOf(used.key), used.providerVersion, {
          signal: deps.clock.deadline(callMs),
          delivery: true,
        }),
      ))
    const value = handedOut(used.type, used.connection, used.version, material)
    return { version: used.version.version, value: new Secret(revealBytes(value)), receipt }
  }

export interface Operate {
  readonly name: string
  readonly operation: CryptoOperation
  readonly input: Uint8Array
  readonly version?: number
}

export interface Operated {
  readonly version: number
  readonly output: Uint8Array
}

export const operateKey =
  (deps: UseKeyDeps) =>
  async (actor: Actor, { name, operation, input, version }: Operate): Promise<Operated> => {
    // Data keys that are out of use make nothing new, and still open what they made.
    const states =
      operation === 'decrypt'
        ? (['active', 'suspended', 'deactivated'] as const)
        : (['active'] as const)
    const used = await findUsed(deps, actor, name, version, states, operation === 'decrypt')
    if (!used.type.traits.operations.includes(operation)) {
      throw new RekeyError('request.impossible', {
        detail: `A ${used.type.type} does not ${operation}.`,
      })
    }
    const count = (outcome: 'succeeded' | 'failed') =>
      deps.tally.count(`${actor.id} ${used.key.id} ${operation} ${outcome}`, async (uses) => {
        await deps.ledger.note(actor, {
          action: 'key.used',
          target: { id: used.key.id, name },
          outcome,
          after: { operation, version: used.version.version, uses, consumer: actor.consumer },
        })
      })
    let output: Uint8Array
    try {
      output = await asking(() =>
        used.session.operate(addressOf(used.key), used.providerVersion, operation, input, {
          signal: deps.clock.deadline(callMs),
        }),
      )
    } catch (error) {
      await count('failed')
      throw error
    }
    await count('succeeded')
    return { version: used.version.version, output }
  }

interface Used {
  readonly key: Key
  readonly connection: Connection
  readonly version: Version
  readonly providerVersion: string
  readonly type: KeyType
  readonly session: Session
}

const findUsed = async (
  deps: Omit<UseKeyDeps, 'tally'>,
  actor: Actor,
  name: string,
  wanted: number | undefined,
  states: readonly Version['state'][],
  readsOnly = false,
): Promise<Used> => {
  const { key, connection, version } = await deps.ledger.read(async (db) => {
    const found = mustSee(actor, await db.keys.byName(name), 'key', name)
    await mustBeBound(db, actor, found)
    if (!readsOnly) await mustBeReconciled(db, found)
    return {
      key: found,
      connection: await db.connections.get(found.connection),
      version:
        wanted === undefined
          ? await db.versions.primary(found.id)
          : await db.versions.get(found.id, wanted),
    }
  })
  if (!connection) throw new RangeError(`the key ${key.id} has lost its connection`)
  if (!version) {
    if (wanted !== undefined)
      throw new RekeyError('resource.notFound', { detail: `The key has no version ${wanted}.` })
    throw new RekeyError('key.versionUnusable', { detail: 'The key has no primary version now.' })
  }
  const providerVersion = version.providerVersions.at(-1)
  if (!states.includes(version.state) || providerVersion === undefined) {
    throw new RekeyError('key.versionUnusable', {
      detail: `Version ${version.version} is ${version.state}.`,
    })
  }
  const type = findType(deps.providers, connection, key.type)
  return {
    key,
    connection,
    version,
    providerVersion,
    type,
    session: await asking(() => deps.sessions.open(connection)),
  }
}

/** As with scopes, what one is not bound to does not exist. */
const mustBeBound = async (db: Reads, actor: Actor, key: Key): Promise<void> => {
  if (isAdmin(actor)) return
  if (hasRole(actor, 'consumer')) {
    if (actor.keys?.includes(key.name)) return
    if (actor.keys === null && actor.consumer !== null) {
      if ((await consumersOfKey(db, key)).includes(actor.consumer)) return
    }
  }
  throw notFound('key', key.name)
}
