// `azure.keyvault.secret`: a secret in Key Vault.
//
// Setting a secret makes a version, which readers who name none get at once: there is no stage, and no pointer to move back.
// Undo writes the old value again. The newest version is never switched off but by an incident: Key Vault gives those readers
// an error then, and not the version before.
//
// A write takes no token and no condition. It carries the operation's id as a tag, so that a version of ours is known by it,
// and is sent only while the set of versions is the one of the pre-image. Between that look and the write somebody else may
// still write; then both versions are there, and the comparison finds theirs.
//
// The store authenticates nobody with the value: rotating here rotates what readers get, and nothing behind it.

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Material,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { Azure } from './clients.ts'
import { nameIn } from './refs.ts'
import { requireRights } from './rights.ts'
import { readValue, readVersion, readVersions, type SecretRow } from './secret-read.ts'
import { secretRights } from './secret-rights.ts'
import { switchSecret } from './secret-switch.ts'
import { isRefused, readsBack } from './secret-verify.ts'
import type { ObjectSession } from '../session-by-type.ts'
import { sameBytes } from '../digest.ts'
import { materialText } from '../material-text.ts'
import { unsupported } from './values.ts'
import {
  foreignTags,
  lifetimeMs,
  madeBy,
  mustHaveRoom,
  stateOfRow,
  tagsFor,
  toVersion,
  versionsDigest,
  switching,
} from './versions.ts'

const mostBytes = 25_600

export const makeSecret = (azure: Azure, now: () => Date): ObjectSession => {
  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const name = nameIn(object.ref)
    // In this order: what readers get is among the versions that are listed after it.
    const served = await readValue(azure, name, null, call)
    const rows = mustExist(name, await readVersions(azure, name, call, served?.row))
    return {
      versions: rows.map((row) => toVersion(row, served?.id ?? null)),
      facts: factsOf(rows, served?.id ?? null),
    }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const name = nameIn(object.ref)
    const served = await readValue(azure, name, null, call)
    const rows = await readVersions(azure, name, call, served?.row)
    if (current !== null) mustExist(name, rows)
    if (rows.some(({ managed }) => managed))
      throw new ProviderError('precondition', 'none', 'the secret belongs to a certificate', {
        hint: 'Key Vault sets it with the certificate: rotate the azure.keyvault.certificate of this name',
      })
    await requireRights(
      azure,
      secretRights(name).filter(({ asksByWrite }) => asksByWrite === true),
      call,
    )
    const newest = rows.find(({ id }) => id === served?.id)
    const tags = foreignTags(newest?.tags ?? {})
    mustHaveRoom('secret', newest?.tags ?? {})
    const carriers =
      current === null || served === null || served.id === current
        ? []
        : [await carrierOf(name, current, served, call)]
    return {
      preImage: {
        current: served?.id ?? null,
        known: versionsDigest(rows),
        tags,
        contentType: newest?.contentType ?? null,
        lifetimeMs: newest === undefined ? null : lifetimeMs(newest),
        carriers,
        ...factsOf(rows, served?.id ?? null),
      },
      risks: risksOf(rows, served?.id ?? null),
    }
  }

  /** Somebody may have written our value again: another run of the tool that made the secret. */
  const carrierOf = async (
    name: string,
    ours: string,
    served: { readonly id: string; readonly value: string },
    call: Call,
  ): Promise<string> => {
    const held = await readValue(azure, name, ours, call)
    if (held !== null && sameBytes(held.value, served.value)) return served.id
    throw new ProviderError('conflict', 'none', `version ${served.id} was not written by Rekey`, {
      hint:
        held === null
          ? `Rekey holds version ${ours}, which Key Vault no longer hands out: delete the key here and register it anew, with version ${served.id}`
          : `Rekey holds version ${ours} with another value: write that again, or delete the key here and register it anew, with version ${served.id}`,
    })
  }

  const write = async (
    order: MintOrder,
    rows: readonly SecretRow[],
    call: Call,
  ): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const { tags, contentType, lifetimeMs: lives } = order.preImage
    const text = textOf(order.material)
    const { properties } = await azure.write(
      {
        client: 'secrets',
        action: 'secrets/setSecret/action',
        scope: `/secrets/${name}`,
        send: (secrets, options) =>
          secrets.setSecret(name, text, {
            ...options,
            tags: tagsFor((tags ?? {}) as Record<string, string>, order.operationId),
            ...(typeof contentType === 'string' ? { contentType } : {}),
            ...(typeof lives === 'number' ? { expiresOn: new Date(now().getTime() + lives) } : {}),
          }),
      },
      call,
    )
    if (properties.version === undefined)
      throw new ProviderError(
        'outcomeUnknown',
        'unknown',
        'Key Vault did not say which version it made',
      )
    return { providerVersion: properties.version, facts: { versionsBefore: rows.length } }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const rows = await readVersions(azure, name, call)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined) return { providerVersion: ours.id, facts: {} }
    if (versionsDigest(rows) !== order.preImage['known'])
      throw new ProviderError('conflict', 'none', 'somebody else has written the secret meanwhile')
    return write(order, rows, call)
  }

  /** Once, however often it is asked; also over versions that are all switched off. */
  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const served = await readValue(azure, name, null, call)
    const rows = await readVersions(azure, name, call, served?.row)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined) return { providerVersion: ours.id, facts: {} }
    if (served !== null)
      throw new ProviderError('conflict', 'none', 'the secret is there already', {
        hint: `something is at /secrets/${name}: register it without \`create\``,
      })
    return write(order, rows, call)
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const name = nameIn(order.object.ref)
    const rows = await readVersions(azure, name, call)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined)
      return { answer: 'ours', value: { providerVersion: ours.id, facts: {} } }
    const before = order.preImage['known']
    if (before === undefined ? rows.length === 0 : versionsDigest(rows) === before)
      return { answer: 'absent' }
    if (before !== undefined && rows.length === 0)
      return { answer: 'foreign', detail: 'the secret was deleted' }
    if (before === undefined && rows.every((row) => stateOfRow(row) !== 'enabled'))
      return { answer: 'absent' }
    return { answer: 'foreign', detail: 'somebody else has written the secret' }
  }

  return {
    describe,
    prepare,
    mint,
    create,
    probeMint,
    promote: async () => {
      throw unsupported('choosing what readers get')
    },
    probePromote: async () => {
      throw unsupported('choosing what readers get')
    },
    verify: async ({ object, providerVersion: version, material, how }, call) => {
      const expected = material === null ? null : textOf(material)
      const at = { azure, name: nameIn(object.ref), version, expected }
      if (how === 'roundTrip') return readsBack(at, call)
      if (how === 'refused') return isRefused(at, call)
      throw unsupported(`verifying a stored secret by ${how}`)
    },
    ...switching(
      (name, version, call) => readVersion(azure, name, version, call),
      (at, to, call) => switchSecret({ azure, ...at }, to, call),
    ),
    lastUsed: async () => null,
    readMaterial: async (object, version, call) => {
      const held = await readValue(azure, nameIn(object.ref), version, call)
      if (held === null)
        throw new ProviderError('notFound', 'none', `version ${version} is not handed out`)
      return new Secret(held.value)
    },
    operate: async () => {
      throw unsupported('using a stored secret')
    },
  }
}

const mustExist = (name: string, rows: readonly SecretRow[]): readonly SecretRow[] => {
  if (rows.length > 0) return rows
  throw new ProviderError('notFound', 'none', 'there is no such secret in the vault', {
    hint: `nothing is at /secrets/${name}: if it was deleted, recover it`,
  })
}

const textOf = (material: Material | null): string => {
  const text = materialText(material)
  if (Buffer.byteLength(text) > mostBytes)
    throw new ProviderError('precondition', 'none', 'the value is larger than Key Vault takes', {
      hint: `at most ${mostBytes} bytes`,
    })
  return text
}

const factsOf = (rows: readonly SecretRow[], served: string | null): JsonObject => {
  const newest = rows.find(({ id }) => id === served)
  return {
    versions: rows.length,
    served,
    ...(newest?.expiresAt === null || newest === undefined
      ? {}
      : { expiresAt: newest.expiresAt.toISOString() }),
  }
}

const risksOf = (rows: readonly SecretRow[], served: string | null): readonly string[] => [
  ...(rows.length > 0 && served === null
    ? ['The newest version is disabled: readers who name no version get an error now.']
    : []),
]
