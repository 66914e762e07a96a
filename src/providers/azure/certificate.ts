// `azure.keyvault.certificate`: a certificate whose key Key Vault holds, issued by itself or by an issuer that it is joined to.
//
// A new version is requested by the policy that the certificate has, with the operation's id as a tag, and is there when the
// issuer has issued it: at once, or after hours. Until then the probe says so. It is what callers get who name no version;
// nothing moves them back, so that there is no undo. Who accepts a certificate trusts its issuer: switching a version off
// takes its key from those who use it out of the vault, and revokes nothing. The private key is never read; Key Vault signs
// with it as the proof.

import { X509Certificate } from 'node:crypto'
import type { CertificatePolicy } from '@azure/keyvault-certificates'
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
  type ProviderPorts,
  type Verdict,
} from '#domain/provider.ts'
import {
  readCertificate,
  readCertificateVersion,
  readCertificateVersions,
  readNewest,
  pendingOf,
  readPending,
  type Policy,
} from './certificate-read.ts'
import { certificateRights } from './certificate-rights.ts'
import { switchCertificate } from './certificate-switch.ts'
import type { Azure } from './clients.ts'
import { readKey, type HeldKey } from './key-read.ts'
import { isKeyRefused, makeProof, proofHolds, useOf } from './key-use.ts'
import { nameIn } from './refs.ts'
import { requireRights } from './rights.ts'
import type { ObjectSession } from '../session-by-type.ts'
import { unsupported } from './values.ts'
import {
  foreignTags,
  madeBy,
  tagsFor,
  toVersion,
  versionsDigest,
  type VersionRow,
  switching,
  mustHaveRoom,
} from './versions.ts'

const pollAfterMs = 30_000

export const makeCertificate = (
  azure: Azure,
  ports: Pick<ProviderPorts, 'now' | 'random'>,
): ObjectSession => {
  const using = (name: string) => ({ azure, name, random: ports.random })

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const name = nameIn(object.ref)
    // In this order: what callers get is among the versions that are listed after it.
    const newest = await readNewest(azure, name, call)
    const rows = mustExist(name, await readCertificateVersions(azure, name, call))
    const served = newest?.held.enabled === true ? newest.held.id : null
    return {
      versions: rows.map((row) => toVersion(row, served)),
      facts: factsOf(rows, served, newest?.policy ?? {}),
    }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const name = nameIn(object.ref)
    const newest = await readNewest(azure, name, call)
    const rows = mustExist(name, await readCertificateVersions(azure, name, call))
    await requireRights(
      azure,
      certificateRights(name).filter(({ asksByWrite }) => asksByWrite === true),
      call,
    )
    const row = rows.find(({ id }) => id === newest?.held.id)
    if (newest === null || row === undefined)
      throw new ProviderError('conflict', 'none', 'the certificate has changed at this moment')
    if (current !== null && current !== row.id)
      throw new ProviderError('conflict', 'none', `version ${row.id} was not made by Rekey`, {
        hint: `Rekey knows version ${current}: somebody else, or Key Vault itself, has renewed the certificate; delete it here and register it anew, with version ${row.id}`,
      })
    mustBePossible(newest.policy, row)
    const pending = await readPending(azure, name, call)
    if (pending?.status === 'inProgress')
      throw new ProviderError('conflict', 'none', 'a certificate of this name is being issued', {
        hint: 'somebody else has asked for it: wait for it, or cancel the pending request in Key Vault',
      })
    if ((await sign(name, row.id, call)) === null)
      throw new ProviderError('precondition', 'none', 'the present version cannot be used', {
        hint: 'its key must be one that signs, encrypts or unwraps, and enabled',
      })
    return {
      preImage: {
        known: versionsDigest(rows),
        tags: foreignTags(row.tags),
        requestId: pending?.requestId ?? null,
        policy: JSON.parse(JSON.stringify(newest.policy)) as JsonObject,
        ...factsOf(rows, row.id, newest.policy),
      },
      risks: risksOf(newest.policy),
    }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const name = nameIn(order.object.ref)
    const before = await readCertificateVersions(azure, name, call)
    const already = madeBy(before, order.operationId)
    if (already !== undefined) return { providerVersion: already.id, facts: {} }
    if (versionsDigest(before) !== order.preImage['known'])
      throw new ProviderError('conflict', 'none', 'somebody else has made a version meanwhile')
    const { tags, policy } = order.preImage
    const pending = await azure.write(
      {
        client: 'certificates',
        action: 'certificates/create/action',
        scope: `/certificates/${name}`,
        send: (certificates, options) =>
          pendingOf(
            certificates.beginCreateCertificate(
              name,
              (policy ?? {}) as unknown as CertificatePolicy,
              {
                ...options,
                tags: tagsFor((tags ?? {}) as Record<string, string>, order.operationId),
              },
            ),
          ),
      },
      call,
    )
    if (pending !== null && !['inProgress', 'completed'].includes(pending.status))
      throw new ProviderError('precondition', 'none', 'the issuer refused the request', {
        hint: `look at the pending operation: az keyvault certificate pending show --name ${name}`,
      })
    // The request is made: what cannot be seen of it now is found by the probe.
    const made = madeBy(
      await afterRequest(readCertificateVersions(azure, name, call)),
      order.operationId,
    )
    if (made === undefined)
      throw new ProviderError('outcomeUnknown', 'unknown', 'the issuer has not issued it yet')
    return { providerVersion: made.id, facts: {} }
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const name = nameIn(order.object.ref)
    // In this order: a request that is seen to be over has left its version.
    const pending = await readPending(azure, name, call)
    const rows = await readCertificateVersions(azure, name, call)
    const ours = madeBy(rows, order.operationId)
    if (ours !== undefined)
      return { answer: 'ours', value: { providerVersion: ours.id, facts: {} } }
    if (versionsDigest(rows) !== order.preImage['known'])
      return {
        answer: 'foreign',
        detail:
          rows.length === 0 ? 'the certificate was deleted' : 'somebody else has made a version',
      }
    const isNew = pending !== null && pending.requestId !== order.preImage['requestId']
    if (!isNew) return { answer: 'absent' }
    if (pending.status === 'inProgress') return { answer: 'inProgress', pollAfterMs }
    // Between its end and the list, which may be behind.
    return pending.status === 'completed'
      ? { answer: 'inProgress', pollAfterMs: 2_000 }
      : {
          answer: 'foreign',
          detail: `the request for a certificate has ended as ${pending.status}`,
        }
  }

  /** Null where Key Vault does not use the version's key. */
  const sign = async (name: string, version: string, call: Call): Promise<HeldKey | null> => {
    const key = await readKey(azure, name, version, call)
    const use = key === null ? null : useOf(key)
    if (key === null || use === null) return null
    const verdict = await proofHolds(
      using(name),
      await makeProof(using(name), key, use, call),
      call,
    )
    return verdict.ok ? key : null
  }

  const roundTrip = async (name: string, version: string, call: Call): Promise<Verdict> => {
    const facts = { operation: 'sign', version }
    const held = await readCertificate(azure, name, version, call)
    if (held === null || !held.enabled)
      return { ok: false, detail: `version ${version} is not handed out`, facts }
    const now = ports.now()
    const certificate = new X509Certificate(held.cer)
    const expiresAt = certificate.validToDate.toISOString()
    if (certificate.validToDate <= now)
      return { ok: false, detail: `version ${version} has expired`, facts: { ...facts, expiresAt } }
    const key = await sign(name, version, call)
    if (key === null)
      return { ok: false, detail: `the key of version ${version} cannot be used`, facts }
    return isKeyOf(certificate, key)
      ? { ok: true, facts: { ...facts, expiresAt, thumbprint: certificate.fingerprint256 } }
      : { ok: false, detail: `the certificate of version ${version} is of another key`, facts }
  }

  return {
    describe,
    prepare,
    mint,
    create: async () => {
      throw unsupported('making a certificate without a policy')
    },
    probeMint,
    promote: async () => {
      throw unsupported('choosing the current version of a certificate')
    },
    probePromote: async () => {
      throw unsupported('choosing the current version of a certificate')
    },
    verify: async ({ object, providerVersion: version, how }, call) => {
      const name = nameIn(object.ref)
      if (how === 'roundTrip') return roundTrip(name, version, call)
      if (how === 'refused') return isKeyRefused(using(name), version, null, call)
      throw unsupported(`verifying a certificate by ${how}`)
    },
    ...switching(
      (name, version, call) => readCertificateVersion(azure, name, version, call),
      (at, to, call) => switchCertificate({ azure, ...at }, to, call),
    ),
    lastUsed: async () => null,
    readMaterial: async () => {
      throw unsupported('reading the private key of a certificate through Rekey')
    },
    operate: async () => {
      throw unsupported('using a certificate through Rekey')
    },
  }
}

const afterRequest = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work
  } catch (error) {
    const kind =
      error instanceof ProviderError && error.kind === 'timeout' ? 'timeout' : 'outcomeUnknown'
    throw new ProviderError(kind, 'unknown', 'it was requested, and what came of it cannot be read')
  }
}

const isKeyOf = (certificate: X509Certificate, { jwk }: HeldKey): boolean => {
  const { n, x, y } = certificate.publicKey.export({ format: 'jwk' })
  const url = (bytes: Uint8Array | undefined): string | undefined =>
    bytes === undefined ? undefined : Buffer.from(bytes).toString('base64url')
  return n === undefined ? x === url(jwk.x) && y === url(jwk.y) : n === url(jwk.n)
}

const mustExist = (name: string, rows: readonly VersionRow[]): readonly VersionRow[] => {
  if (rows.length > 0) return rows
  throw new ProviderError('notFound', 'none', 'there is no such certificate in the vault', {
    hint: `nothing is at /certificates/${name}: make its first version there, by the policy that it shall have`,
  })
}

const mustBePossible = (policy: Policy, { tags }: VersionRow): void => {
  if (policy.issuerName === undefined || policy.issuerName === 'Unknown')
    throw new ProviderError('unsupported', 'none', 'nobody issues the certificate by itself', {
      hint: 'its policy names no issuer: a person must have each request signed and merge it; name an issuer, or register it with observe: native',
    })
  if (policy.reuseKey === true)
    throw new ProviderError('precondition', 'none', 'the certificate’s policy keeps its key', {
      hint: 'a new version would have the old key: set reuse_key to false in the policy',
    })
  mustHaveRoom('certificate', tags)
}

const factsOf = (
  rows: readonly VersionRow[],
  served: string | null,
  policy: Policy,
): JsonObject => {
  const newest = rows.find(({ id }) => id === served)
  return {
    versions: rows.length,
    served,
    issuer: policy.issuerName ?? null,
    autoRotateSeconds: autoRotateSeconds(policy),
    ...(newest?.expiresAt === undefined || newest.expiresAt === null
      ? {}
      : { expiresAt: newest.expiresAt.toISOString() }),
  }
}

/** How often Key Vault renews it by itself; 0 for never. */
const autoRotateSeconds = ({ lifetimeActions = [], validityInMonths = 12 }: Policy): number => {
  const renews = lifetimeActions.find(({ action }) => action === 'AutoRenew')
  if (renews === undefined) return 0
  const days = validityInMonths * 30
  const { daysBeforeExpiry, lifetimePercentage = 80 } = renews
  const after =
    daysBeforeExpiry === undefined ? (days * lifetimePercentage) / 100 : days - daysBeforeExpiry
  return Math.max(1, Math.round(after)) * 86_400
}

const risksOf = (policy: Policy): readonly string[] => [
  'Nothing can undo the rotation, and nothing revokes the old certificate: who trusts its issuer accepts it until it expires.',
  ...(autoRotateSeconds(policy) === 0
    ? []
    : [
        'Key Vault renews this certificate by itself (lifetime action AutoRenew): take that out of its policy, or its renewals will look like somebody else’s.',
      ]),
]
