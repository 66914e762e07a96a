// The real HashiCorp Vault as a peer of the contract suite, one for each type.

import { randomBytes, randomUUID } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { startVault, type VaultKind, type VaultPeer } from '#test/peers/vault.ts'
import { startFaultProxy, type Match } from '#test/support/fault-proxy.ts'
import { plainPorts, type ContractPeer, type Fixture, type Rights } from './peer.ts'

export const vaultAddress = (type: string, ref: JsonObject): ObjectAddress => ({
  type,
  ref,
  keyId: randomUUID(),
  keyName: 'contract',
})

/** A text in a ref. */
export const refText = (object: ObjectAddress, name: string): string => {
  const value = object.ref[name]
  return typeof value === 'string' ? value : ''
}

const json = (...errors: readonly string[]): string => JSON.stringify({ errors })

// Bodies as Vault 1.21 sends them; 412, 472 and 473 are those of clusters, from its documentation.
export const writeFixtures: readonly Fixture[] = [
  {
    name: 'check-and-set',
    status: 400,
    body: json('check-and-set parameter did not match the current version'),
    kind: 'conflict',
    effect: 'none',
  },
  {
    name: 'check-and-set required',
    status: 400,
    body: json('check-and-set parameter required for this call'),
    kind: 'precondition',
    effect: 'none',
  },
  {
    name: 'upgrading',
    status: 400,
    body: json(
      'Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly.',
    ),
    kind: 'transient',
    effect: 'none',
  },
  {
    name: 'malformed',
    status: 400,
    body: json('error converting input'),
    kind: 'permanent',
    effect: 'none',
  },
  { name: 'empty 400', status: 400, body: '', kind: 'permanent', effect: 'none' },
  {
    name: 'permission denied',
    status: 403,
    body: json('1 error occurred:\n\t* permission denied\n\n'),
    kind: 'forbidden',
    effect: 'none',
  },
  {
    name: 'invalid token',
    status: 403,
    body: json('2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n'),
    kind: 'auth',
    effect: 'none',
  },
  {
    name: 'no such route',
    status: 404,
    body: json('no handler for route "x/data/y". route entry not found.'),
    kind: 'notFound',
    effect: 'none',
  },
  { name: 'not found', status: 404, body: json(), kind: 'notFound', effect: 'none' },
  {
    name: 'unsupported operation',
    status: 405,
    body: json('1 error occurred:\n\t* unsupported operation\n\n'),
    kind: 'unsupported',
    effect: 'none',
  },
  {
    name: 'index not there yet',
    status: 412,
    body: json('required index state not present'),
    kind: 'transient',
    effect: 'none',
  },
  {
    name: 'rate limit',
    status: 429,
    body: json('request path "x": rate limit quota exceeded'),
    headers: { 'retry-after': '1' },
    kind: 'throttled',
    effect: 'none',
  },
  {
    name: 'redirect of a standby',
    status: 307,
    headers: { location: 'http://127.0.0.1:1/v1/x' },
    body: '',
    kind: 'precondition',
    effect: 'none',
  },
  {
    name: 'disaster recovery secondary',
    status: 472,
    body: json(),
    kind: 'precondition',
    effect: 'none',
  },
  { name: 'performance standby', status: 473, body: json(), kind: 'precondition', effect: 'none' },
  {
    name: 'internal error',
    status: 500,
    body: json('1 error occurred:\n\t* internal error\n\n'),
    kind: 'transient',
    effect: 'unknown',
  },
  {
    name: 'third party failed',
    status: 502,
    body: json('upstream'),
    kind: 'transient',
    effect: 'unknown',
  },
  {
    name: 'sealed',
    status: 503,
    body: json('Vault is sealed'),
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'gateway timeout', status: 504, body: '', kind: 'transient', effect: 'unknown' },
  {
    name: 'page of a firewall',
    status: 403,
    headers: { 'content-type': 'text/html' },
    body: '<html>blocked</html>',
    kind: 'transient',
    effect: 'unknown',
  },
  { name: 'not JSON', status: 200, body: 'OK', kind: 'transient', effect: 'unknown' },
]

interface Shared {
  readonly vault: VaultPeer
  readonly settings: JsonObject
  readonly faulty: Awaited<ReturnType<typeof startFaultProxy>>
  readonly faultySettings: JsonObject
  readonly grant: Rights['grant']
  readonly stop: () => Promise<void>
}

/** A Vault, and a proxy in front of it that fails on purpose. */
export const share = async (kind: VaultKind = 'vault'): Promise<Shared> => {
  const vault = await startVault({ kind })
  const faulty = await startFaultProxy(vault.address)
  const settings = { address: vault.address, auth: { method: 'token' } }
  let policies = 0
  return {
    vault,
    faulty,
    settings,
    faultySettings: { ...settings, address: faulty.address },
    grant: async (documents) => {
      const name = `contract-${policies++}`
      await vault.api('PUT', `sys/policies/acl/${name}`, {
        policy: documents.filter((hcl) => typeof hcl === 'string').join('\n'),
      })
      const made = await vault.api('POST', 'auth/token/create', {
        policies: [name],
        no_default_policy: true,
        ttl: '1h',
      })
      return new Secret(String(made.auth['client_token']))
    },
    stop: async () => {
      await faulty.stop()
      await vault.stop()
    },
  }
}

/** Requests of one operation at one path that Vault has answered without an error. */
export const doneAt = (vault: VaultPeer, paths: readonly string[]): number =>
  vault
    .auditLog()
    .filter(
      (line) =>
        line.type === 'response' &&
        line.error === undefined &&
        ['create', 'update', 'delete', 'patch'].includes(line.request.operation) &&
        paths.includes(line.request.path),
    ).length

export const exactly = (path: string, method = 'POST'): Match => ({
  method,
  path: new RegExp(`^/v1/${path.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`),
})

const encoded = (path: string): string => path.split('/').map(encodeURIComponent).join('/')

export const startKv2 = async (kind?: VaultKind): Promise<ContractPeer> => {
  const { vault, settings, faulty, faultySettings, grant, stop } = await share(kind)
  const pathOf = (object: ObjectAddress): string => refText(object, 'path')
  let made = 0
  const address = (path: string): ObjectAddress =>
    vaultAddress('vault.kv2.secret', { mount: 'secret', path, field: 'password' })
  const good = [
    'ключ/пароль',
    '鍵',
    'a b+c&d=e?f#g',
    '100%',
    'a%2Fb',
    '%2e%2e/x',
    'q"uote\'s',
    '*',
    '🔑/emoji',
  ]
  const bad = ['../escape', 'a/../b', 'a/./b', '..', 'a//b', 'a\u0000b', 'line\nbreak', '\ud800']
  return {
    settings,
    credential: new Secret(vault.token),
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const path = `contract/${made++ % 3}/${randomUUID()}`
      await vault.api('POST', `secret/data/${path}`, {
        data: { password: randomBytes(20).toString('hex'), username: 'app' },
      })
      return address(path)
    },
    unborn: () => address(`unborn/${randomUUID()}`),
    versions: async (object) => {
      const reply = await vault.api('GET', `secret/metadata/${encoded(pathOf(object))}`)
      return Object.keys(Object(reply.data['versions'])).length
    },
    writes: async (object) =>
      doneAt(
        vault,
        ['data', 'delete', 'undelete', 'destroy', 'metadata'].map(
          (kind) => `secret/${kind}/${pathOf(object)}`,
        ),
      ),
    foreign: async (object) => {
      await vault.api('POST', `secret/data/${encoded(pathOf(object))}`, {
        data: { password: 'by somebody else' },
      })
    },
    faults: {
      proxy: faulty,
      settings: faultySettings,
      mint: (object) => exactly(`secret/data/${encoded(pathOf(object))}`),
      fixtures: writeFixtures,
    },
    rights: {
      grant,
      always: ['check', 'token'],
      needed: {
        inventory: /list on secret\/metadata/,
        describe: /read on secret\/(meta)?data\/contract\//,
        rotate: /update on secret\/data\/contract\//,
        suspend: /update on secret\/delete\/contract\//,
        reinstate: /update on secret\/undelete\/contract\//,
        destroy: /update on secret\/destroy\/contract\//,
      },
    },
    names: { good: good.map(address), bad: bad.map(address) },
    stop,
  }
}

export const startTransit = async (kind?: VaultKind): Promise<ContractPeer> => {
  const { vault, settings, faulty, faultySettings, grant, stop } = await share(kind)
  const nameOf = (object: ObjectAddress): string => refText(object, 'name')
  const address = (name: string): ObjectAddress =>
    vaultAddress('vault.transit.key', { mount: 'transit', name })
  return {
    settings,
    credential: new Secret(vault.token),
    ports: plainPorts(),
    beyondOnePage: 60,
    newObject: async () => {
      const name = `contract-${randomUUID()}`
      await vault.api('POST', `transit/keys/${name}`, {})
      return address(name)
    },
    unborn: () => address(`unborn-${randomUUID()}`),
    versions: async (object) => {
      const reply = await vault.api('GET', `transit/keys/${nameOf(object)}`)
      return Object.keys(Object(reply.data['keys'])).length
    },
    writes: async (object) =>
      doneAt(vault, [
        `transit/keys/${nameOf(object)}`,
        `transit/keys/${nameOf(object)}/rotate`,
        `transit/keys/${nameOf(object)}/config`,
      ]),
    foreign: async (object) => {
      await vault.api('POST', `transit/keys/${nameOf(object)}/rotate`, {})
    },
    faults: {
      proxy: faulty,
      settings: faultySettings,
      mint: (object) => exactly(`transit/keys/${nameOf(object)}/rotate`),
      fixtures: writeFixtures,
    },
    rights: {
      grant,
      always: ['check', 'token'],
      needed: {
        inventory: /list on transit\/keys/,
        describe: /read on transit\/keys\/contract-/,
        rotate: /update on transit\/keys\/contract-[^/]+\/rotate/,
        verify: /update on transit\/(en|de)crypt\/contract-/,
      },
    },
    names: {
      good: ['dots.and-dashes_1', 'UPPER', '1'].map(address),
      bad: ['../keys/x', 'a/b', 'ключ', '..', 'a%2Fb', '.a', ''].map(address),
    },
    stop,
  }
}
