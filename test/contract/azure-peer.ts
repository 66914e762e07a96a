// Azure as a peer of the contract suite, one for each type: the strict stand-in of test/peers/azure.

import { randomUUID } from 'node:crypto'
import type { Json, JsonObject } from '#domain/json.ts'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { rolesIn, type Application } from '#test/peers/azure/principals.ts'
import { startStrictAzure, type StrictAzure } from '#test/peers/azure/strict.ts'
import { newPair } from '#test/peers/azure/crypto.ts'
import { newAttributes } from '#test/peers/azure/wire.ts'
import { startFaultProxy, type FaultProxy } from '#test/support/fault-proxy.ts'
import { azureFixtures } from './azure-fixtures.ts'
import { plainPorts, type ContractPeer, type Rights } from './peer.ts'
import { refText } from './vault-peer.ts'

export const azureAddress = (type: string, name: string): ObjectAddress => ({
  type,
  ref: { name },
  keyId: randomUUID(),
  keyName: 'contract',
})

export const azureCredential = ({
  clientSecret,
}: Pick<Application, 'clientSecret'>): Secret<string> =>
  new Secret(JSON.stringify({ clientSecret }))

interface AzureBench {
  readonly strict: StrictAzure
  readonly faulty: FaultProxy
  readonly settings: JsonObject
  readonly stop: () => Promise<void>
}

const openAzure = async (): Promise<AzureBench> => {
  const strict = await startStrictAzure()
  const faulty = await startFaultProxy(strict.address)
  return {
    strict,
    faulty,
    settings: azureSettings(strict, strict.address, strict.admin),
    stop: async () => {
      await faulty.stop()
      await strict.stop()
    },
  }
}

export const azureSettings = (
  strict: StrictAzure,
  vaultUrl: string,
  { clientId }: Application,
): JsonObject => ({
  vaultUrl,
  clientId,
  tenantId: strict.entra.tenantId,
  authorityHost: strict.entra.address,
})

const grantTo =
  (strict: StrictAzure): Rights['grant'] =>
  async (documents: readonly Json[]) =>
    azureCredential(strict.application(rolesIn(documents), strict.admin.clientId))

const isDone = (status: number): boolean => status >= 200 && status < 300

/** Effects on one object, from the stand-in's own log. */
export const effectsOn = (strict: StrictAzure, path: string): number =>
  strict
    .log()
    .filter(
      (one) =>
        one.changes && isDone(one.status) && (one.path === path || one.path.startsWith(`${path}/`)),
    ).length

export const startAzureSecrets = async (): Promise<ContractPeer> => {
  const { strict, faulty, settings, stop } = await openAzure()
  const address = (name: string): ObjectAddress => azureAddress('azure.keyvault.secret', name)
  const nameOf = (object: ObjectAddress): string => refText(object, 'name')
  const put = (name: string, value: string): string =>
    strict.secrets.add(name, {
      value,
      contentType: null,
      attributes: newAttributes(undefined),
      tags: {},
      kid: null,
    })
  return {
    settings,
    credential: azureCredential(strict.admin),
    ports: plainPorts(),
    beyondOnePage: 30,
    newObject: async () => {
      const name = `contract-${randomUUID()}`
      put(name, randomUUID())
      return address(name)
    },
    unborn: () => address(`unborn-${randomUUID()}`),
    versions: async (object) => strict.secrets.find(nameOf(object))?.versions.length ?? 0,
    writes: async (object) => effectsOn(strict, `/secrets/${nameOf(object)}`),
    foreign: async (object) => {
      put(nameOf(object), 'by somebody else')
    },
    faults: {
      proxy: faulty,
      settings: { ...settings, vaultUrl: faulty.address },
      mint: (object) => ({
        method: 'PUT',
        path: new RegExp(`^/secrets/${nameOf(object)}\\?`),
        body: /"value"/,
      }),
      fixtures: azureFixtures,
    },
    rights: {
      grant: grantTo(strict),
      // Whoever may list the whole vault may also list one secret's versions.
      always: ['describe'],
      // What a change needs is asked for by a change that cannot be had: at preflight, not every few minutes.
      rotates: ['verify'],
      needed: {
        inventory: /secrets\/readMetadata\/action on \//,
        verify: /secrets\/getSecret\/action on \/secrets\/contract-/,
        rotate: /secrets\/setSecret\/action on \/secrets\/contract-/,
        switch: /secrets\/update\/action on \/secrets\/contract-/,
      },
    },
    names: {
      good: ['a', '1', '-', 'UPPER-and-lower', 'x'.repeat(127)].map(address),
      bad: [
        '',
        'ключ',
        'a b',
        'a/b',
        'a.b',
        'a_b',
        '..',
        'a%2Fb',
        'a#b',
        'line\nbreak',
        'x'.repeat(128),
      ].map(address),
    },
    stop,
  }
}

export const startAzureKeys = async (): Promise<ContractPeer> => {
  const { strict, faulty, settings, stop } = await openAzure()
  const address = (name: string): ObjectAddress => azureAddress('azure.keyvault.key', name)
  const nameOf = (object: ObjectAddress): string => refText(object, 'name')
  return {
    settings,
    credential: azureCredential(strict.admin),
    ports: plainPorts(),
    beyondOnePage: 30,
    newObject: async () => {
      const name = `contract-${randomUUID()}`
      putKey(strict, name)
      return address(name)
    },
    unborn: () => address(`unborn-${randomUUID()}`),
    versions: async (object) => strict.keys.find(nameOf(object))?.versions.length ?? 0,
    writes: async (object) => effectsOn(strict, `/keys/${nameOf(object)}`),
    foreign: async (object) => {
      putKey(strict, nameOf(object))
    },
    faults: {
      proxy: faulty,
      settings: { ...settings, vaultUrl: faulty.address },
      mint: (object) => ({
        method: 'POST',
        path: new RegExp(`^/keys/${nameOf(object)}/create\\?`),
        body: /"tags"/,
      }),
      fixtures: azureFixtures,
    },
    rights: {
      grant: grantTo(strict),
      // Whoever may list the whole vault may also see one key.
      always: ['describe'],
      // What a change needs is asked for by a change that cannot be had: at preflight, not every few minutes.
      rotates: ['verify'],
      needed: {
        inventory: /keys\/read on \//,
        verify: /keys\/sign\/action on \/keys\/contract-/,
        rotate: /keys\/create\/action on \/keys\/contract-/,
        switch: /keys\/update\/action on \/keys\/contract-/,
      },
    },
    names: {
      good: ['a', '1', 'UPPER-and-lower'].map(address),
      bad: ['', 'ключ', 'a/b', 'a.b', '..', 'a%2Fb', 'x'.repeat(128)].map(address),
    },
    stop,
  }
}

/** By whoever has the right, and of a policy of their own; issued when somebody looks at it next. */
export const putCertificate = (
  strict: StrictAzure,
  name: string,
  policy: Readonly<Record<string, JsonObject | readonly JsonObject[]>> = {},
): void => {
  strict.certificates.create({
    method: 'POST',
    path: ['certificates', name, 'create'],
    query: new URLSearchParams(),
    base: strict.address,
    body: {
      policy: {
        key_props: { exportable: true, kty: 'EC', crv: 'P-256', reuse_key: false },
        secret_props: { contentType: 'application/x-pem-file' },
        x509_props: { subject: 'CN=contract', validity_months: 12 },
        issuer: { name: 'Self' },
        ...policy,
      },
    },
  })
  strict.certificates.settle()
}

export const startAzureCertificates = async (): Promise<ContractPeer> => {
  const { strict, faulty, settings, stop } = await openAzure()
  const address = (name: string): ObjectAddress => azureAddress('azure.keyvault.certificate', name)
  const nameOf = (object: ObjectAddress): string => refText(object, 'name')
  return {
    settings,
    credential: azureCredential(strict.admin),
    ports: plainPorts(),
    beyondOnePage: 30,
    newObject: async () => {
      const name = `contract-${randomUUID()}`
      putCertificate(strict, name)
      return address(name)
    },
    unborn: () => address(`unborn-${randomUUID()}`),
    versions: async (object) => {
      strict.certificates.settle()
      return strict.certificates.shelf.find(nameOf(object))?.versions.length ?? 0
    },
    writes: async (object) => effectsOn(strict, `/certificates/${nameOf(object)}`),
    foreign: async (object) => putCertificate(strict, nameOf(object)),
    faults: {
      proxy: faulty,
      settings: { ...settings, vaultUrl: faulty.address },
      mint: (object) => ({
        method: 'POST',
        path: new RegExp(`^/certificates/${nameOf(object)}/create\\?`),
        body: /rekey-operation/,
      }),
      fixtures: azureFixtures,
    },
    rights: {
      grant: grantTo(strict),
      // Whoever may list the whole vault may also see one certificate.
      always: ['describe', 'describeKey'],
      rotates: ['verify'],
      needed: {
        inventory: /certificates\/read on \//,
        verify: /keys\/sign\/action on \/keys\/contract-/,
        rotate: /certificates\/create\/action on \/certificates\/contract-/,
        switch: /certificates\/update\/action on \/certificates\/contract-/,
      },
    },
    stop,
  }
}

/** A version, made by somebody else. An elliptic curve key unless told. */
export const putKey = (
  strict: StrictAzure,
  name: string,
  {
    kty = 'EC',
    size = 2048,
    operations = ['sign', 'verify'],
  }: {
    readonly kty?: string
    readonly size?: number
    readonly operations?: readonly string[]
  } = {},
): string =>
  strict.keys.add(name, {
    pair: newPair(kty, size, 'P-256'),
    operations,
    attributes: newAttributes(undefined),
    tags: {},
    managed: false,
  })

/** Of a request that the adapter makes: always text. */
export const requestUrl = (url: string | URL | Request): string => {
  if (typeof url === 'string') return url
  return url instanceof URL ? url.href : url.url
}
