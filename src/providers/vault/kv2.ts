// `vault.kv2.secret`: one field of one secret in a KV version 2 engine.
//
// A write makes a new version of the whole secret, so the other fields are read and written again, under check-and-set:
// `cas` is the version that the pre-image holds. Vault accepts such a write once. Ours can therefore only ever be version
// pre + 1, and whether it is ours is told by reading that version back and comparing it with the material; nothing secret
// is stored for it. Two keys cannot be two fields of one secret: destroying a version destroys all of its fields.
//
// The store authenticates nobody with the value: rotating here rotates what readers get, and nothing behind it.

import type { JsonObject } from '#domain/json.ts'
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
  type Verdict,
  type VerifyOrder,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { readKv2Ref, type Kv2Ref } from './refs.ts'
import { requireRights } from './rights.ts'
import { kv2Rights } from './kv2-rights.ts'
import { createField, probeCreate } from './kv2-create.ts'
import { deletedRisk, factsOf, makeKeptOf, risksOf } from './kv2-facts.ts'
import {
  readMetadata,
  readVersion,
  stateIn,
  stateOfRow,
  valueIn,
  type Metadata,
} from './kv2-read.ts'
import { isRefused, readsBack } from './kv2-verify.ts'
import { takeFieldBack } from './kv2-take-back.ts'
import { afterWrite, writeVersion } from './kv2-write.ts'
import type { Ask, ObjectType } from './session.ts'
import { sameBytes } from '../digest.ts'
import { materialText } from '../material-text.ts'
import { fieldsOf, numberOf } from '../untyped-json.ts'
import { versionNumber } from './values.ts'

export const makeKv2 = (ask: Ask, now: () => Date): ObjectType => {
  const keptOf = makeKeptOf(ask, now)
  const metadataOf = async (ref: Kv2Ref, call: Call): Promise<Metadata> => {
    const metadata = await readMetadata(ask, ref, call)
    if (metadata === null)
      throw new ProviderError('notFound', 'none', 'there is no such secret in Vault', {
        hint: `nothing is at ${ref.metadataPath}`,
      })
    return metadata
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = readKv2Ref(object.ref)
    const metadata = await metadataOf(ref, call)
    const latest = await readVersion(ask, ref, metadata.current, call)
    if (latest.state === 'enabled' && !(ref.field in latest.data))
      throw new ProviderError('notFound', 'none', 'the secret has no such field', {
        hint: `the current version has no field ${JSON.stringify(ref.field)}`,
      })
    const versions = [...metadata.versions].map(([number, row]): ProviderVersion => ({
      id: String(number),
      state: stateOfRow(row, now()),
      current: number === metadata.current,
      ...(row.createdAt === null ? {} : { createdAt: row.createdAt }),
      ...(row.deletedAt === null || row.destroyed || row.deletedAt <= now()
        ? {}
        : { expiresAt: row.deletedAt }),
    }))
    return { versions, facts: factsOf(metadata, await keptOf(ref, metadata, call)) }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = readKv2Ref(object.ref)
    const metadata = await readMetadata(ask, ref, call)
    if (metadata === null && current !== null) await metadataOf(ref, call)
    const version = metadata?.current ?? 0
    const state = stateIn(metadata?.versions.get(version), now())
    const needed = state === 'enabled' ? 'rotate' : 'create'
    await requireRights(
      ask,
      kv2Rights(ref).filter((right) => right.name === needed),
      call,
    )
    const carriers =
      metadata === null || current === null
        ? []
        : await carriersOf(ref, metadata, versionNumber(current), call)
    const kept = metadata === null ? null : await keptOf(ref, metadata, call)
    return {
      preImage: {
        version,
        state,
        field: ref.field,
        carriers: carriers.map(String),
        ...(metadata === null || kept === null ? {} : factsOf(metadata, kept)),
      },
      risks: [
        ...(metadata === null || kept === null ? [] : risksOf(metadata, kept)),
        ...(version > 0 && state !== 'enabled' ? [deletedRisk] : []),
      ],
    }
  }

  /** A foreign write of another field makes a new version with our value in it. Where readers get another value than ours,
   *  somebody rotated by hand. */
  const carriersOf = async (
    ref: Kv2Ref,
    metadata: Metadata,
    ours: number,
    call: Call,
  ): Promise<readonly number[]> => {
    if (metadata.current === ours) return []
    const held = await valueIn(ask, ref, ours, call)
    const newer = [...metadata.versions.keys()].filter((version) => version > ours)
    const same: number[] = []
    for (const version of newer.toSorted((a, b) => a - b)) {
      // oxlint-disable-next-line no-await-in-loop -- Vault keeps ten versions; more at once would be a flood of requests
      const value = held === null ? null : await valueIn(ask, ref, version, call)
      if (held !== null && value !== null && sameBytes(held, value)) same.push(version)
    }
    if (same.at(-1) === metadata.current) return same
    throw new ProviderError(
      'conflict',
      'none',
      `version ${metadata.current} was not written by Rekey`,
      {
        hint:
          held === null
            ? `Rekey holds version ${ours}, which Vault no longer hands out: write its value again, or delete the key here and register it anew, with version ${metadata.current}`
            : `Rekey holds version ${ours} with another value: roll back to it in Vault, or delete the key here and register it anew, with version ${metadata.current}`,
      },
    )
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readKv2Ref(order.object.ref)
    const cas = casOf(order)
    const text = materialText(order.material)
    // Read before the write and guarded by `cas`: another field that changes meanwhile makes it a conflict.
    const before = cas === 0 ? null : await readVersion(ask, ref, cas, call)
    // Deleting a version does not move `cas`: without this its other fields would quietly be left out.
    if (before !== null && before.state !== (order.preImage['state'] ?? before.state))
      throw new ProviderError(
        'conflict',
        'none',
        `version ${cas} was switched off or on by somebody else`,
      )
    const others = before?.state === 'enabled' ? before.data : {}
    return writeVersion(ask, ref, cas, { ...others, [ref.field]: text }, call)
  }

  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = readKv2Ref(order.object.ref)
    return createField({ ask, ref, now: now(), text: materialText(order.material) }, call)
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ref = readKv2Ref(order.object.ref)
    const pre = casOf(order)
    const text = materialText(order.material)
    if (pre === 0) return probeCreate({ ask, ref, now: now(), text }, call)
    const metadata = await readMetadata(ask, ref, call)
    if (metadata === null)
      return {
        answer: 'foreign',
        detail: `the secret, at version ${pre} before, was removed with all its versions`,
      }
    if (metadata.current === pre) return { answer: 'absent' }
    if (metadata.current < pre)
      return {
        answer: 'foreign',
        detail: `the secret was removed and made again: it is at version ${metadata.current}, and was at ${pre}`,
      }
    const version = pre + 1
    const row = metadata.versions.get(version)
    const state = stateIn(row, now())
    if (state !== 'enabled')
      return {
        answer: 'foreign',
        detail: `version ${version} is ${state}: whose it was cannot be told`,
      }
    const value = await valueIn(ask, ref, version, call)
    if (value === null || !sameBytes(value, text))
      return { answer: 'foreign', detail: `somebody else wrote version ${version}` }
    return {
      answer: 'ours',
      value: {
        providerVersion: String(version),
        facts: { version, createdAt: row?.createdAt?.toISOString() ?? '' },
      },
    }
  }

  const verify = async (order: VerifyOrder, call: Call): Promise<Verdict> => {
    const ref = readKv2Ref(order.object.ref)
    const version = versionNumber(order.providerVersion)
    const expected = order.material === null ? null : materialText(order.material)
    if (order.how === 'roundTrip') return readsBack(ask, ref, version, expected, call)
    if (order.how === 'refused') return isRefused(ask, ref, version, expected, call)
    throw unsupported(`verifying a stored secret by ${order.how}`)
  }

  /** A secret of one version with nothing in it but our value: what Rekey made and now takes away again. */
  const isAllThereIs = async (ref: Kv2Ref, metadata: Metadata, call: Call): Promise<boolean> => {
    if (metadata.versions.size !== 1) return false
    const read = await readVersion(ask, ref, metadata.current, call)
    return read.state === 'enabled' && Object.keys(read.data).every((name) => name === ref.field)
  }

  /** Soft delete, undelete and destroy, with what must be so before. Set semantics: done already is done. */
  const switchTo = async (
    object: ObjectAddress,
    providerVersion: string,
    to: 'disabled' | 'enabled' | 'destroyed',
    call: Call,
  ): Promise<JsonObject> => {
    const ref = readKv2Ref(object.ref)
    const version = versionNumber(providerVersion)
    const metadata = await metadataOf(ref, call)
    const state = stateIn(metadata.versions.get(version), now())
    const facts = { version, from: state, to }
    if (state === to || (state === 'destroyed' && to === 'disabled'))
      return { ...facts, already: true }
    if (state === 'absent')
      throw new ProviderError('notFound', 'none', `Vault has no version ${version} (any more)`)
    if (state === 'destroyed')
      throw new ProviderError(
        'precondition',
        'none',
        `version ${version} is destroyed: it cannot come back`,
      )
    const isServed = to !== 'enabled' && version === metadata.current
    if (
      isServed &&
      call.incident !== true &&
      !(to === 'destroyed' && (await isAllThereIs(ref, metadata, call)))
    )
      throw new ProviderError(
        'precondition',
        'none',
        `version ${version} is the one that readers get`,
        {
          hint: 'write another version first; only an incident switches off the current one',
        },
      )
    await ask(
      { verb: 'write', path: ref.switchPath[to], body: { versions: [version] }, changes: true },
      call,
    )
    return facts
  }

  return {
    rights: async (object) =>
      kv2Rights(readKv2Ref(object.ref)).filter(({ name }) => name !== 'create'),
    describe,
    create,
    prepare,
    mint,
    probeMint,
    verify,
    promote: async () => {
      throw unsupported('moving the current version of a KV secret')
    },
    probePromote: async () => {
      throw unsupported('moving the current version of a KV secret')
    },
    suspend: (object, version, call) => switchTo(object, version, 'disabled', call),
    reinstate: (object, version, call) => switchTo(object, version, 'enabled', call),
    retire: async (object, version, how, call) => {
      if (how === 'disable') return switchTo(object, version, 'disabled', call)
      const ref = readKv2Ref(object.ref)
      const took =
        call.takeBack === true &&
        (await takeFieldBack({ ask, ref, now: now(), version: versionNumber(version) }, call))
      return took
        ? afterWrite(() => switchTo(object, version, 'destroyed', call))
        : switchTo(object, version, 'destroyed', call)
    },
    stateOf: async (object, version, call) => {
      const metadata = await readMetadata(ask, readKv2Ref(object.ref), call)
      return stateIn(metadata?.versions.get(versionNumber(version)), now())
    },
    lastUsed: async () => null,
    readMaterial: async (object, version, call) => {
      const ref = readKv2Ref(object.ref)
      const value = await valueIn(ask, ref, versionNumber(version), call)
      if (value === null)
        throw new ProviderError(
          'notFound',
          'none',
          `version ${version} has no text in the field, or is not handed out`,
        )
      return new Secret(value)
    },
    operate: async () => {
      throw unsupported('using a stored secret')
    },
  }
}

const casOf = (order: MintOrder): number => numberOf(fieldsOf(order.preImage)['version'])

const unsupported = (what: string): ProviderError =>
  new ProviderError('unsupported', 'none', `${what} is not possible in Vault`)
