// Doppler's stand-in as a peer of the contract suite, one for each type.

import { randomBytes, randomUUID } from 'node:crypto'
import type { Json, JsonObject } from '#domain/json.ts'
import type { ObjectAddress } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { startDoppler, type Doppler } from '#test/peers/doppler/doppler.ts'
import type { ConfigRow } from '#test/peers/doppler/workplace.ts'
import { startFaultProxy } from '#test/support/fault-proxy.ts'
import { dopplerFixtures } from './doppler-fixtures.ts'
import { plainPorts, type ContractPeer } from './peer.ts'

const project = 'contract'

const addressOf = (type: string, ref: JsonObject): ObjectAddress => ({
  type,
  ref,
  keyId: randomUUID(),
  keyName: 'contract',
})

const textIn = ({ ref }: ObjectAddress, name: string): string => {
  const value = ref[name]
  return typeof value === 'string' ? value : ''
}

/** Effects on one object, from the stand-in's own log. */
const effectsOn = (doppler: Doppler, subject: string): number =>
  doppler.log().filter((one) => one.changes && one.subject === subject && one.status === 200).length

const quoted = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

const permissionsIn = (documents: readonly Json[]): readonly string[] =>
  documents.flatMap((document) => {
    const { permissions } = Object(document) as { readonly permissions?: readonly string[] }
    return permissions ?? []
  })

const open = async () => {
  const doppler = await startDoppler()
  const proxy = await startFaultProxy(doppler.address)
  return {
    doppler,
    newConfig: (): ConfigRow => doppler.workplace.config(project, `e${randomUUID()}`),
    base: {
      settings: { apiUrl: doppler.address },
      credential: new Secret(doppler.admin),
      ports: plainPorts(),
      beyondOnePage: 12,
    },
    faults: { proxy, settings: { apiUrl: proxy.address }, fixtures: dopplerFixtures },
    grant: async (documents: readonly Json[]) =>
      new Secret(doppler.account(permissionsIn(documents))),
    stop: async () => {
      await proxy.stop()
      await doppler.stop()
    },
  }
}

export const startDopplerSecrets = async (): Promise<ContractPeer> => {
  const { doppler, newConfig, base, faults, grant, stop } = await open()
  const address = (config: string, name: string): ObjectAddress =>
    addressOf('doppler.secret', { project, config, name })
  const subjectOf = (object: ObjectAddress): string =>
    `${project}/${textIn(object, 'config')}/${textIn(object, 'name')}`
  const rowOf = (object: ObjectAddress) =>
    doppler.workplace.find(project, textIn(object, 'config'))?.secrets
  const arranged = new Set<string>()
  const names = newConfig()
  return {
    ...base,
    newObject: async () => {
      const config = newConfig()
      config.secrets.set('PASSWORD', {
        raw: randomBytes(20).toString('hex'),
        visibility: 'masked',
      })
      const object = address(config.name, 'PASSWORD')
      arranged.add(subjectOf(object))
      return object
    },
    unborn: () => address(newConfig().name, 'PASSWORD'),
    // One place: as many as were put there.
    versions: async (object) =>
      effectsOn(doppler, subjectOf(object)) + (arranged.has(subjectOf(object)) ? 1 : 0),
    writes: async (object) => effectsOn(doppler, subjectOf(object)),
    foreign: async (object) => {
      rowOf(object)?.set('PASSWORD', { raw: 'by somebody else', visibility: 'masked' })
    },
    faults: {
      ...faults,
      mint: (object) => ({
        method: 'POST',
        path: /^\/v3\/configs\/config\/secrets$/,
        body: new RegExp(quoted(textIn(object, 'config'))),
      }),
    },
    rights: {
      grant,
      always: [],
      rotates: ['describe'],
      untold: ['rotate'],
      needed: {
        describe: /enclave_project_config_secrets_read on contract\//,
        rotate: /enclave_project_config_secrets_write on contract\//,
      },
    },
    names: {
      good: ['A', 'A_B', '_A', 'A1', 'X'.repeat(200)].map((name) => address(names.name, name)),
      bad: [
        address(names.name, 'lower'),
        address(names.name, 'A-B'),
        address(names.name, '1A'),
        address(names.name, ''),
        address(names.name, 'КЛЮЧ'),
        address(names.name, 'A B'),
        address(names.name, 'DOPPLER_CONFIG'),
        address('../prd', 'A'),
        address('PRD', 'A'),
        address('a&b=c', 'A'),
      ],
    },
    stop,
  }
}

export const startDopplerTokens = async (): Promise<ContractPeer> => {
  const { doppler, newConfig, base, faults, grant, stop } = await open()
  const address = (config: string, more: JsonObject = {}): ObjectAddress =>
    addressOf('doppler.serviceToken', { project, config, access: 'read', ...more })
  const configOf = (object: ObjectAddress): ConfigRow => {
    const found = doppler.workplace.find(project, textIn(object, 'config'))
    if (found === null) throw new Error('there is no such config')
    return found
  }
  return {
    ...base,
    newObject: async () => {
      const config = newConfig()
      doppler.workplace.token(config, 'by hand', 'read', null)
      return address(config.name)
    },
    unborn: () => address(newConfig().name),
    versions: async (object) => {
      const name = object.ref['name']
      return configOf(object).tokens.filter(
        (token) => typeof name !== 'string' || token.name.startsWith(name),
      ).length
    },
    writes: async (object) => effectsOn(doppler, `${project}/${textIn(object, 'config')}`),
    foreign: async (object) => {
      doppler.workplace.token(configOf(object), 'somebody else’s', 'read', null)
    },
    faults: {
      ...faults,
      mint: (object) => ({
        method: 'POST',
        path: /^\/v3\/configs\/config\/tokens$/,
        body: new RegExp(quoted(textIn(object, 'config'))),
      }),
    },
    rights: {
      grant,
      always: [],
      rotates: ['tokens'],
      needed: { tokens: /enclave_project_config_service_tokens on contract\// },
    },
    names: {
      good: [
        address(newConfig().name, { access: 'read/write' }),
        address(newConfig().name, { name: 'Lambda of orders' }),
        address(newConfig().name, { name: 'a.b-c_d' }),
      ],
      bad: [
        address(newConfig().name, { access: 'write' }),
        address(newConfig().name, { name: 'a#b' }),
        address(newConfig().name, { name: ' a' }),
        address(newConfig().name, { name: 'ключ' }),
        address('../prd'),
        address('PRD'),
      ],
    },
    stop,
  }
}
