// The table that the suite works at: a session on a peer, and the small steps that its tests are made of.

import { inspect } from 'node:util'
import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type KeyType,
  type Material,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Provider,
  type Session,
} from '#domain/provider.ts'
import { revealText, type Secret } from '#domain/secret.ts'
import type { ContractPeer } from './peer.ts'

export const call = (more: Partial<Call> = {}): Call => ({
  signal: AbortSignal.timeout(20_000),
  ...more,
})

export const connectTo = (
  provider: Provider,
  peer: ContractPeer,
  more: { readonly settings?: JsonObject; readonly credential?: Secret<string> | null } = {},
): Session =>
  provider.connect({
    connection: 'contract',
    externalId: 'x',
    settings: more.settings ?? peer.settings,
    credential: more.credential === undefined ? peer.credential : more.credential,
    ports: peer.ports,
  })

/** Where the provider has no pointer (`staging: overlap`), Rekey's books say which version is handed out: here, by object. */
const handedOut = new WeakMap<ObjectAddress, string>()

/** What readers get who name no version. */
export const currentOf = async (session: Session, object: ObjectAddress): Promise<string> => {
  const { versions } = await session.describe(object, call())
  const current = versions.find((version) => version.current)?.id ?? handedOut.get(object)
  if (current !== undefined) return current
  const [only, ...others] = versions.filter(({ state }) => state === 'enabled')
  if (only === undefined || others.length > 0) throw new Error('the object has no current version')
  return only.id
}

export const newMaterial = (type: KeyType, peer: ContractPeer): Material | null =>
  type.generate === undefined ? null : type.generate({}, peer.ports.random)

/** Reads as preflight does, and makes the order that the engine would commit before the write. */
export const makeOrder = async (
  at: { readonly session: Session; readonly type: KeyType; readonly peer: ContractPeer },
  object: ObjectAddress,
  more: { readonly material?: Material | null; readonly current?: string | null } = {},
): Promise<MintOrder> => {
  const current = more.current === undefined ? await currentOf(at.session, object) : more.current
  const { preImage } = await at.session.prepare(object, current, call())
  return {
    object,
    operationId: `${randomUUID()}:minting:1`,
    // As it comes back from the database.
    preImage: JSON.parse(JSON.stringify(preImage)) as JsonObject,
    generate: {},
    material: more.material === undefined ? newMaterial(at.type, at.peer) : more.material,
  }
}

/** The ProviderError of something that must fail. Nothing else may be thrown, and nothing secret may be in it. */
export const failure = async (
  work: Promise<unknown>,
  planted: readonly (Material | null)[] = [],
): Promise<ProviderError> => {
  const error = await work.then(
    (value) => {
      throw new Error(`it did not fail, but gave ${inspect(value)}`)
    },
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ProviderError)) throw error
  expectNoLeak(error, planted)
  return error
}

export const expectNoLeak = (thing: unknown, planted: readonly (Material | null)[]): void => {
  const seen = inspect(thing, { depth: Infinity, showHidden: true }) + JSON.stringify(thing)
  const stack = thing instanceof Error ? `${thing.stack} ${inspect(thing.cause)}` : ''
  for (const material of planted) {
    if (material !== null) expect(seen + stack).not.toContain(textOf(material))
  }
}

const textOf = (material: Material): string => {
  try {
    return revealText(material)
  } catch {
    return Buffer.from(material.reveal()).toString('base64')
  }
}

/** What the engine does after a lost answer: ask, then adopt or send again. What is shown once and was not seen is of no use to
 *  anybody: it is removed, and the next attempt makes another. */
export const recover = async (session: Session, order: MintOrder): Promise<Minted> => {
  for (;;) {
    const probe = await session.probeMint(order, call())
    if (probe.answer === 'ours' && probe.secretLost === true) {
      await session.retire(order.object, probe.value.providerVersion, 'destroy', call())
      return session.mint({ ...order, operationId: nextAttempt(order.operationId) }, call())
    }
    if (probe.answer === 'ours' || probe.answer === 'goalMet') return probe.value
    if (probe.answer === 'absent') return session.mint(order, call())
    if (probe.answer !== 'inProgress') throw new Error(`${probe.answer}: ${probe.detail}`)
    await new Promise((resolve) => setTimeout(resolve, probe.pollAfterMs))
  }
}

const nextAttempt = (operationId: string): string =>
  operationId.replace(/\d+$/, (attempt) => String(Number(attempt) + 1))

/** Mints and, where the provider has a pointer, moves it: the old version is then free to be switched off. `order.material` is
 *  what the new version holds, as far as anybody knows: also what the provider showed once. */
export const rotate = async (
  at: { readonly session: Session; readonly type: KeyType; readonly peer: ContractPeer },
  object: ObjectAddress,
  material?: Material | null,
): Promise<{ readonly from: string; readonly to: string; readonly order: MintOrder }> => {
  const from = await currentOf(at.session, object)
  const order = await makeOrder(at, object, {
    current: from,
    ...(material === undefined ? {} : { material }),
  })
  const { providerVersion: to, material: shown } = await at.session.mint(order, call())
  if (at.type.traits.staging === 'native')
    await at.session.promote({ object, operationId: randomUUID(), from, to }, call())
  if (at.type.traits.staging === 'overlap') handedOut.set(object, to)
  return { from, to, order: { ...order, material: shown ?? order.material } }
}
