// One place that two keys publish to, or a key and a person: each write replaces what the one before wrote there, and undo
// takes back only what is still there of its own.

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { ProviderError } from '#domain/provider.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { makeStandIns } from '#test/support/faults.ts'
import { makeShelf } from '#test/support/shelf.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({ wrap: standIns.wrap, providers: [shelf.provider] })
})
afterAll(() => engine.close())
afterEach(() => standIns.away())

/** Two keys of one policy. */
const sharing = async (place: string) => {
  shelf.put(place, 'before')
  const keys = [`${place}-one`, `${place}-two`] as const
  for (const name of keys) await engine.key(name, { labels: { set: place } })
  await engine.policy(place, {
    selector: { matchLabels: { set: place } },
    publish: [{ name: 'copy', connection: 'shelf', type: 'shelf.value', ref: { path: place } }],
    overlap: { min: '1h' },
    retry: { attempts: 2, initial: '1s', max: '1s' },
  })
  const [one, two] = keys
  return { one: () => engine.rotate(one), two: () => engine.rotate(two) }
}
const noReplyIn = (phase: string) =>
  standIns.put((session) => ({
    mint: (order, call) =>
      order.operationId.includes(phase)
        ? Promise.reject(new ProviderError('timeout', 'unknown', 'no reply'))
        : session.mint(order, call),
  }))
const standing = (place: string) => shelf.rows(place).at(-1)?.value

test('undo leaves a target as it is where another key wrote since', async () => {
  const { one, two } = await sharing('over')
  const id = await one()
  await engine.until(id, ['overlapping'])
  await engine.until(await two(), ['overlapping'])
  const theirs = standing('over')
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(standing('over')).toBe(theirs)
  const said = (await engine.events(id)).map(({ body }) => body.reason ?? '')
  expect(said.join()).toContain('copy is left as it is: version 3 was written there since')
})

test('undo whose answer is lost leaves what another key wrote meanwhile, and ends', async () => {
  const { one, two } = await sharing('lost-undo')
  const id = await one()
  await engine.until(id, ['overlapping'])
  noReplyIn('rollingBack')
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  await engine.drain()
  expect((await engine.intents(id)).at(-1)).toMatchObject({ effect: 'restoreTarget' })
  await engine.until(await two(), ['overlapping'])
  standIns.away()
  const theirs = standing('lost-undo')
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(standing('lost-undo')).toBe(theirs)
  expect((await engine.intents(id)).every(({ closed }) => closed)).toBe(true)
})

test('a value whose answer is lost is written again over what another key wrote meanwhile', async () => {
  const { one, two } = await sharing('lost-write')
  noReplyIn('distributing')
  const id = await one()
  await engine.until(id, ['distributing'])
  await engine.drain()
  expect((await engine.intents(id)).at(-1)).toMatchObject({ effect: 'distribute', closed: false })
  standIns.away()
  const other = await two()
  await engine.until(other, ['overlapping'])
  const theirs = standing('lost-write')
  await engine.until(id, ['overlapping'])
  expect(standing('lost-write')).not.toBe(theirs)
  expect(shelf.rows('lost-write')).toHaveLength(3)
  await engine.steer.rollback(admin, id, { reason: 'a test' })
  expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  expect(standing('lost-write')).toBe(theirs)
})
