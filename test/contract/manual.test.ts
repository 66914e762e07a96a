// The peer of what people do is a person who does what is asked for, at once, and says so. Where nothing was asked for, nothing
// is said. What they said is counted.

import { randomUUID } from 'node:crypto'
import type { Confirmation } from '#domain/by-hand.ts'
import {
  type Call,
  type ObjectAddress,
  type Provider,
  ProviderError,
  type ProviderPorts,
  type Session,
} from '#domain/provider.ts'
import { manual } from '#providers/manual/provider.ts'
import { plainPorts, type ContractPeer } from './peer.ts'
import { providerContract } from './suite.ts'

const said = new Map<string, Confirmation[]>()

type Step = Pick<Confirmation, 'effect' | 'version' | 'became'>

/** Carries the step out if it is waited for. */
const diligent = (session: Session): Session => {
  const doing = async <T>(
    { keyId }: ObjectAddress,
    step: Step & { readonly operationId: string },
    { signal }: Call,
    work: () => Promise<T>,
  ): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const waits = error instanceof ProviderError && /no person has confirmed/.test(error.message)
      if (!waits || signal.aborted) throw error
      const row: Confirmation = {
        ...step,
        keyId,
        done: true,
        fingerprint: null,
        evidence: null,
        principalId: 'user:somebody',
        principalName: 'somebody',
        at: new Date(),
      }
      said.set(keyId, [...(said.get(keyId) ?? []), row])
      return work()
    }
  }
  const switching =
    (effect: 'suspend' | 'reinstate', became: 'disabled' | 'enabled') =>
    (object: ObjectAddress, version: string, call: Call) =>
      doing(object, { effect, version, became, operationId: randomUUID() }, call, () =>
        session[effect](object, version, call),
      )
  return {
    ...session,
    mint: (order, call) => {
      const { object, operationId } = order
      const step: Step = { effect: 'mint', version: operationId, became: 'enabled' }
      return doing(object, { ...step, operationId }, call, () => session.mint(order, call))
    },
    promote: (order, call) => {
      const { object, operationId, to } = order
      const step: Step = { effect: 'promote', version: to, became: 'current' }
      return doing(object, { ...step, operationId }, call, () => session.promote(order, call))
    },
    suspend: switching('suspend', 'disabled'),
    reinstate: switching('reinstate', 'enabled'),
    retire: (object, version, how, call) => {
      const became = how === 'destroy' ? 'destroyed' : 'disabled'
      const step: Step = { effect: 'retire', version, became }
      return doing(object, { ...step, operationId: randomUUID() }, call, () =>
        session.retire(object, version, how, call),
      )
    },
  }
}

const byPeople: Provider = { ...manual, connect: (args) => diligent(manual.connect(args)) }

const start = async (): Promise<ContractPeer> => {
  const ports: ProviderPorts = {
    ...plainPorts(),
    confirmations: async (keyId) => said.get(keyId) ?? [],
  }
  const when = ['mint', 'promote', 'suspend', 'reinstate', 'retire']
  const newAddress = (): ObjectAddress => ({
    type: 'manual.credential',
    ref: {
      description: 'API key of the partner',
      steps: when.map((of) => ({ when: of, do: `the portal, ${of}` })),
    },
    keyId: randomUUID(),
    keyName: `k-${randomUUID()}`,
  })
  const doneFor = ({ keyId }: ObjectAddress): readonly Confirmation[] => said.get(keyId) ?? []
  return {
    settings: {},
    credential: null,
    ports,
    newObject: async () => newAddress(),
    unborn: newAddress,
    versions: async (object) =>
      1 + doneFor(object).filter(({ effect }) => effect === 'mint').length,
    writes: async (object) => doneFor(object).length,
    stop: async () => undefined,
  }
}

providerContract({
  provider: byPeople,
  type: 'manual.credential',
  start,
  without: ['create', 'unborn', 'inventory', 'foreign', 'faults', 'rights', 'names'],
})
