// What is done with a version after it was made, as a table: how to come to where it is done, what it is, and how to see that
// it is. All of it has set semantics: doing it again is how the engine ends what was cut.

import { randomUUID } from 'node:crypto'
import type { ObjectAddress, Session, TypeTraits } from '#domain/provider.ts'
import { call, currentOf, makeOrder, rotate } from './bench.ts'
import type { Bench } from './parts.ts'

export interface Arranged {
  readonly object: ObjectAddress
  readonly from: string
  readonly to: string
}

interface Change {
  readonly name: string
  /** Where the object is brought first. */
  readonly before: 'minted' | 'rotated' | 'suspended'
  readonly run: (session: Session, at: Arranged) => Promise<unknown>
  readonly state: (session: Session, at: Arranged) => Promise<string>
  /** What `state` says once it is done. */
  readonly after: readonly string[]
}

export const changesOf = (traits: TypeTraits): readonly Change[] => [
  ...(traits.staging === 'native' ? [promote] : []),
  ...(traits.suspend ? [suspend, reinstate] : []),
  ...(traits.revokes === 'version' ? [destroy] : []),
]

const stateOfOld: Change['state'] = (session, { object, from }) =>
  session.stateOf(object, from, call())

const promote: Change = {
  name: 'promoting',
  before: 'minted',
  run: (session, { object, from, to }) =>
    session.promote({ object, operationId: `${to}:promoting:1`, from, to }, call()),
  state: async (session, { object, to }) =>
    (await currentOf(session, object)) === to ? 'promoted' : 'before',
  after: ['promoted'],
}
const suspend: Change = {
  name: 'suspending',
  before: 'rotated',
  run: (session, { object, from }) => session.suspend(object, from, call()),
  state: stateOfOld,
  after: ['disabled'],
}
const reinstate: Change = {
  name: 'reinstating',
  before: 'suspended',
  run: (session, { object, from }) => session.reinstate(object, from, call()),
  state: stateOfOld,
  after: ['enabled'],
}
const destroy: Change = {
  name: 'destroying',
  before: 'rotated',
  run: (session, { object, from }) => session.retire(object, from, 'destroy', call()),
  state: stateOfOld,
  after: ['destroyed', 'absent'],
}

export const arranged = async (bench: Bench, to: Change['before']): Promise<Arranged> => {
  const { peer, session } = bench
  const object = await peer.newObject()
  if (to === 'minted') {
    const from = await currentOf(session, object)
    const order = await makeOrder(bench, object, { current: from })
    const { providerVersion } = await session.mint(
      { ...order, operationId: `${randomUUID()}:minting:1` },
      call(),
    )
    return { object, from, to: providerVersion }
  }
  const { from, to: made } = await rotate(bench, object)
  if (to === 'suspended') await session.suspend(object, from, call())
  return { object, from, to: made }
}
