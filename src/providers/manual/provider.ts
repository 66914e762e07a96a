// Credentials that have no API: a person does what the key's checklist says, in the same machine as every other rotation.
//
// Rekey sends nothing. Each effect's intent is what a person is asked for; what they confirm (usecases/confirm-step.ts) is a
// row of Rekey's own database, and the state of a key's versions here is nothing but those rows, read in order. A version is
// named by the operation id of the intent that asked for it; `first` is the one that was there when the key was registered.
//
// So a probe never guesses: nothing confirmed is `absent`, and the engine goes on waiting for the person.

import { Type } from 'typebox'
import type { Confirmation } from '#domain/by-hand.ts'
import {
  type Call,
  type KeyType,
  type ObjectAddress,
  type Provider,
  ProviderError,
  type ProviderPorts,
  type ProviderVersion,
  type Session,
} from '#domain/provider.ts'
import { byHand, refSchema, suspends } from './checklist.ts'

export const manualCredential: KeyType = {
  type: 'manual.credential',
  title: 'A credential that a person changes, step by step',
  traits: {
    slot: 'multi',
    staging: 'native',
    undo: 'pointer',
    authority: 'self',
    revokes: 'version',
    suspend: true,
    exactlyOnce: 'chosenId',
    attribution: 'exact',
    usage: null,
    lateEffectMs: 0,
    consistency: { delayMs: 0, confirmations: 1 },
    limits: {},
    deliver: false,
    material: 'provider',
    publishTarget: false,
    publishable: false,
    verifies: ['roundTrip'],
    operations: [],
  },
  refSchema,
  generateSchema: Type.Object({}, { additionalProperties: false }),
  objectId: ({ keyName }) => `manual:${keyName}`,
  suspends,
  byHand,
  leastPrivilege: () => ({}),
}

export const manual: Provider = {
  id: 'manual',
  title: 'By hand',
  settingsSchema: Type.Object({}, { additionalProperties: false }),
  credentialSchema: null,
  types: [manualCredential],
  sharesDatabase: true,
  endpoints: () => [],
  connect: ({ ports }) => manualSession(ports),
}

const first = 'first'

interface Known {
  readonly versions: readonly ProviderVersion[]
  readonly said: readonly Confirmation[]
}

/** What the confirmations come to. */
const knownFrom = (said: readonly Confirmation[]): Known => {
  const states = new Map<string, Pick<ProviderVersion, 'state' | 'createdAt'>>([
    [first, { state: 'enabled' }],
  ])
  let current = first
  for (const { done, effect, version, became, at } of said) {
    if (!done) continue
    if (became === 'current') current = version
    else if (effect === 'mint') states.set(version, { state: 'enabled', createdAt: at })
    else states.set(version, { ...states.get(version), state: became })
  }
  const versions = [...states].map(([id, of]) => ({ id, current: id === current, ...of }))
  return { versions, said }
}

const manualSession = ({ confirmations }: ProviderPorts): Session => {
  const look = async ({ keyId }: ObjectAddress): Promise<Known> =>
    knownFrom(await confirmations(keyId))
  const find = async (object: ObjectAddress, id: string) =>
    (await look(object)).versions.find((version) => version.id === id)
  const currentOf = async (object: ObjectAddress): Promise<string | undefined> =>
    (await look(object)).versions.find(({ current }) => current)?.id

  const probeMint: Session['probeMint'] = async ({ object, operationId }) => {
    const { said } = await look(object)
    const made = said.find((of) => of.operationId === operationId)
    if (!made?.done) return { answer: 'absent' }
    return {
      answer: 'ours',
      value: {
        providerVersion: operationId,
        ...(made.fingerprint ? { fingerprint: made.fingerprint } : {}),
        facts: { by: made.principalName, evidence: made.evidence },
      },
    }
  }

  /** Set semantics: met already, or it waits for a person. */
  const become = async (
    object: ObjectAddress,
    version: string,
    wanted: ProviderVersion['state'],
    call: Call,
  ) => {
    const found = await find(object, version)
    if (!found) throw new ProviderError('notFound', 'none', `there is no version ${version}`)
    if (found.state === wanted) return { state: wanted }
    if (found.state === 'destroyed') {
      throw new ProviderError('precondition', 'none', `version ${version} was deleted`)
    }
    throw notConfirmed(call)
  }

  return {
    async check() {
      return [
        {
          name: 'reachable',
          outcome: 'ok',
          detail: 'people do what is asked for, and say so to Rekey',
        },
      ]
    },
    async missingRights() {
      return []
    },
    async inventory() {
      return { items: [], next: null }
    },
    describe: async (object) => ({ versions: (await look(object)).versions, facts: {} }),
    async create() {
      throw new ProviderError('unsupported', 'none', 'Rekey cannot make the first credential', {
        hint: 'register the one that is there, without create',
      })
    },
    async prepare(object) {
      const { versions } = await look(object)
      return {
        preImage: { versions: versions.map(({ id }) => id) },
        risks: ['A person carries out each step; nothing is done before they confirm it.'],
      }
    },
    async mint(order, call) {
      const probe = await probeMint(order, call)
      if (probe.answer !== 'ours') throw notConfirmed(call)
      return probe.value
    },
    probeMint,
    async verify({ object, providerVersion, how }) {
      if (how === 'login' || how === 'oldDataReadable') {
        throw new ProviderError('unsupported', 'none', `there is no check ${how} by hand`)
      }
      const { versions, said } = await look(object)
      const found = versions.find(({ id }) => id === providerVersion)
      const last = said.findLast((of) => of.done && of.version === providerVersion)
      const facts = {
        operation: 'said by a person',
        by: last?.principalName ?? null,
        evidence: last?.evidence ?? null,
        state: found?.state ?? 'absent',
      }
      const works = found?.state === 'enabled'
      if (works === (how === 'roundTrip')) return { ok: true, facts }
      const detail = works
        ? 'nobody has said that it is switched off'
        : `it is ${found?.state ?? 'not there'}`
      return { ok: false, detail, facts }
    },
    async promote({ object, from, to }, call) {
      const current = await currentOf(object)
      if (current === to) return { current: to }
      if (current !== from) {
        throw new ProviderError('conflict', 'none', `version ${current} is handed out`)
      }
      throw notConfirmed(call)
    },
    async probePromote({ object, from, to }) {
      const current = await currentOf(object)
      if (current === to) return { answer: 'ours', value: null }
      return current === from
        ? { answer: 'absent' }
        : { answer: 'foreign', detail: `version ${current} is handed out` }
    },
    suspend: (object, version, call) => become(object, version, 'disabled', call),
    reinstate: (object, version, call) => become(object, version, 'enabled', call),
    retire: (object, version, how, call) =>
      become(object, version, how === 'destroy' ? 'destroyed' : 'disabled', call),
    stateOf: async (object, version) => (await find(object, version))?.state ?? 'absent',
    async lastUsed() {
      return null
    },
    async readMaterial() {
      throw new ProviderError('unsupported', 'none', 'Rekey never had the value')
    },
    async operate() {
      throw new ProviderError('unsupported', 'none', 'Rekey never had the value')
    },
    async close() {},
  }
}

const notConfirmed = ({ operationId, signal }: Call): ProviderError =>
  signal.aborted
    ? new ProviderError('timeout', 'none', 'the time was over before anybody was asked')
    : new ProviderError('precondition', 'none', 'no person has confirmed the step yet', {
        hint: `confirm ${operationId ?? 'the step'}: rekey confirm`,
      })
