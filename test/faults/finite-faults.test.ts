// Finite faults end (I16): whatever a session throws, and wherever it is asked, the rotation comes to its end or to a stall
// that somebody is told of, in bounded time and after a bounded number of requests.

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RekeyError } from '#domain/errors.ts'
import type { PolicySpec } from '#domain/policy.ts'
import { ProviderError, type Session } from '#domain/provider.ts'
import { admin, type Engine, openEngine } from '#test/support/engine.ts'
import { writeMs } from '#usecases/run-effect.ts'
import { forever, makeStandIns } from '#test/support/faults.ts'
import { makeShelf, pathIn } from '#test/support/shelf.ts'

const shelf = makeShelf()
const standIns = makeStandIns()
const adapters = makeStandIns()
let opening = (_connection: string): void => undefined
let engine: Engine
beforeAll(async () => {
  engine = await openEngine({
    wrap: standIns.wrap,
    adapter: adapters.wrap,
    providers: [shelf.provider],
    opening: ({ name }) => opening(name),
  })
})
afterAll(() => engine.close())
afterEach(() => {
  standIns.away()
  adapters.away()
  opening = () => undefined
})

const minute = 60_000
const retry = { attempts: 3, initial: '1s', max: '5s' }
const arrange = async (name: string, spec: Partial<PolicySpec> = {}) => {
  const key = await engine.key(name, { labels: { set: name } })
  await engine.policy(name, { selector: { matchLabels: { set: name } }, retry, ...spec })
  return key
}
const target = (name: string, path: string) => ({
  name,
  connection: 'shelf',
  type: 'shelf.value',
  ref: { path },
})
const forbidden = () => Promise.reject(new ProviderError('forbidden', 'none', 'not allowed'))
const stalls = async (id: string): Promise<string> => {
  const { stalledReason } = await engine.until(id, ['stalled'], 30 * minute, 5_000)
  const actions = (await engine.events(id)).map(({ body }) => body.action)
  expect(actions).toContain('rotation.stalled')
  return String(stalledReason)
}

describe('a refusal where no effect is under way', () => {
  test('of the usage source', async () => {
    await arrange('usage', { overlap: { min: '0s', unusedFor: '1h' } })
    standIns.put(() => ({ lastUsed: forbidden }))
    expect(await stalls(await engine.rotate('usage'))).toContain('not allowed')
  })

  test('of opening a session', async () => {
    await arrange('opening', { overlap: { min: '1m' } })
    const id = await engine.rotate('opening')
    await engine.until(id, ['overlapping'])
    opening = () => {
      throw new RekeyError('connection.unusable', { detail: 'The credential is gone.' })
    }
    await engine.clock.advance(minute)
    expect(await stalls(id)).toContain('The credential is gone.')
  })

  test('of opening a session with a publish target', async () => {
    shelf.put('unreachable', 'before')
    await arrange('target', { publish: [target('copy', 'unreachable')] })
    opening = (name) => {
      if (name === 'shelf') throw new ProviderError('forbidden', 'none', 'not allowed')
    }
    const rotation = await engine.until(await engine.rotate('target'), 'end', 30 * minute)
    expect(rotation).toMatchObject({ phase: 'rolledBack' })
    expect(rotation.undo?.reason).toContain('not allowed')
  })

  test('of reading where the pointer is, in an undo', async () => {
    await arrange('pointer')
    standIns.put(() => ({ promote: forbidden }))
    const id = await engine.rotate('pointer')
    await stalls(id)
    standIns.put(() => ({ describe: forbidden }))
    await engine.steer.rollback(admin, id, { reason: 'a test' })
    await engine.until(id, ['stalled'], 30 * minute, 5_000)
    standIns.away()
    await engine.steer.resume(admin, id, { reason: 'allowed now' })
    expect((await engine.until(id, 'end')).phase).toBe('rolledBack')
  })
})

test('a bug in an adapter stalls after some tries, with pauses that grow, and names no more than its class', async () => {
  await arrange('bug', { overlap: { min: '0s', unusedFor: '1h' } })
  let asked = 0
  standIns.put(() => ({
    lastUsed: () => {
      asked += 1
      return Promise.reject(new RangeError('hunter2'))
    },
  }))
  const reason = await stalls(await engine.rotate('bug'))
  expect(reason).toContain('RangeError')
  expect(reason).not.toContain('hunter2')
  expect(asked).toBeLessThan(20)
})

test('a database that cannot be written to is no fault of the rotation: it goes on when it can', async () => {
  const key = await arrange('outage')
  const id = await engine.rotate('outage')
  const { ledger } = engine.deps
  const cut = engine.worker('w1', {
    ledger: {
      ...ledger,
      commit: () =>
        Promise.reject(new RekeyError('audit.unavailable', { detail: 'it is not there' })),
    },
  })
  for (let n = 0; n < 30; n++) {
    await engine.clock.advance(5_000)
    await cut(id)
  }
  expect((await engine.until(id, 'end')).phase).toBe('completed')
  expect(await engine.vault.list(key.id)).toHaveLength(2)
})

describe('an effect that is never there', () => {
  const lost = (sent: { n: number }) => () => {
    sent.n += 1
    return Promise.reject(new ProviderError('timeout', 'unknown', 'no reply'))
  }

  test('is sent as often as its policy says, then the rotation stalls', async () => {
    await arrange('off-lost')
    const sent = { n: 0 }
    standIns.put(() => ({ suspend: lost(sent) }))
    const id = await engine.rotate('off-lost')
    expect(await stalls(id)).toContain('no trace')
    expect(sent.n).toBe(3)
    standIns.away()
    await engine.steer.resume(admin, id, { reason: 'the network is back' })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
  })

  test('is undone where nothing else was done yet', async () => {
    const key = await arrange('mint-lost')
    const sent = { n: 0 }
    standIns.put(() => ({ mint: lost(sent) }))
    const id = await engine.rotate('mint-lost')
    expect((await engine.until(id, 'end', 30 * minute, 5_000)).phase).toBe('rolledBack')
    expect(sent.n).toBe(3)
    expect(await engine.vault.list(key.id)).toHaveLength(1)
  })
})

test('the tries of one publish target are not those of the next', async () => {
  for (const path of ['tries-a', 'tries-b', 'tries-c']) shelf.put(path, 'before')
  const publish = ['tries-a', 'tries-b', 'tries-c'].map((path) => target(path, path))
  await arrange('tries', { publish, retry: { attempts: 2, initial: '1s', max: '1s' } })
  const failed = new Set<string>()
  standIns.put((session) => ({
    mint: async (order, call) => {
      const path = pathIn(order.object.ref)
      if (!path.startsWith('tries-') || failed.has(path)) return session.mint(order, call)
      failed.add(path)
      throw new ProviderError('throttled', 'none', 'too many requests')
    },
  }))
  expect((await engine.until(await engine.rotate('tries'), 'end')).phase).toBe('completed')
  expect(failed.size).toBe(3)
})

describe('a secret that was lost with its reply', () => {
  const pass = (name: string) =>
    engine.key(name, {
      connection: 'shelf',
      type: 'shelf.pass',
      ref: { path: name },
      labels: { set: name },
    })
  const loseFirst = (session: Session): Partial<Session> => {
    let lost = false
    return {
      mint: async (order, call) => {
        const minted = await session.mint(order, call)
        if (lost || !order.operationId.endsWith(':1')) return minted
        lost = true
        throw new ProviderError('timeout', 'unknown', 'no reply')
      },
    }
  }

  test('when its orphan cannot be removed, a person is told, and can go on', async () => {
    await pass('orphan')
    await engine.policy('orphan', { selector: { matchLabels: { set: 'orphan' } }, retry })
    standIns.put((session) => ({ ...loseFirst(session), retire: forbidden }))
    const id = await engine.rotate('orphan')
    expect(await stalls(id)).toContain('not allowed')
    standIns.away()
    await engine.steer.resume(admin, id, { reason: 'allowed now' })
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(shelf.rows('orphan').map(({ state }) => state)).toEqual([
      'disabled',
      'destroyed',
      'enabled',
    ])
  })

  test('when the worker dies right after the removal, the next one makes another', async () => {
    await pass('orphaned')
    await engine.policy('orphaned', { selector: { matchLabels: { set: 'orphaned' } }, retry })
    let met = false
    standIns.put((session) => ({
      ...loseFirst(session),
      retire: (...args) =>
        session.retire(...args).then(() => {
          met = true
          return forever()
        }),
    }))
    const id = await engine.rotate('orphaned')
    await engine.advance(id)
    for (let n = 0; n < 100 && !met; n++) {
      await engine.clock.advance(1_000)
      const dying = engine.worker(`dying-${n}`)(id)
      await Promise.race([dying, new Promise((resolve) => setTimeout(resolve, 200))])
    }
    expect(met).toBe(true)
    standIns.away()
    await engine.clock.advance(30_000)
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(shelf.rows('orphaned').map(({ state }) => state)).toEqual([
      'disabled',
      'destroyed',
      'enabled',
    ])
  })
})

test('an adapter that ignores its deadline holds neither the lease nor the worker', async () => {
  const key = await arrange('hangs')
  const id = await engine.rotate('hangs')
  const { clock } = engine.deps
  const hurried = engine.worker('hurried', {
    clock: { ...clock, deadline: (ms) => clock.deadline(ms / 20) },
  })
  adapters.put(() => ({ mint: () => forever() }))
  await hurried(id)
  const [intent] = await engine.intents(id)
  expect(intent).toMatchObject({ effect: 'mint', outcome: 'unknown', closed: false })
  expect((await engine.ledger.read((db) => db.timers.get(id)))?.leaseOwner).toBeNull()
  adapters.away()
  expect((await engine.until(id, 'end')).phase).toBe('completed')
  expect(await engine.vault.list(key.id)).toHaveLength(2)
})

test('a request whose time was over before it was sent was not sent: nobody has to ask what became of it', async () => {
  await arrange('too-late')
  const id = await engine.rotate('too-late')
  const { clock } = engine.deps
  const sent: string[] = []
  standIns.put((session) => ({
    mint: (order, call) => {
      sent.push(order.operationId)
      return session.mint(order, call)
    },
  }))
  // Of a machine that is so busy that the intent's own commit takes that long.
  const busy = engine.worker('busy', {
    clock: {
      ...clock,
      deadline: (ms) => (ms === writeMs ? AbortSignal.abort() : clock.deadline(ms)),
    },
  })
  await busy(id)
  const [intent] = await engine.intents(id)
  expect(intent).toMatchObject({
    outcome: 'failed',
    closed: true,
    detail: 'its time was over before it could be sent',
  })
  expect((await engine.until(id, 'end')).phase).toBe('completed')
  expect(sent).toEqual([expect.stringMatching(/:minting:2$/)])
})

describe('a takeover', () => {
  test('whose write fails is not done: the next holder raises the epoch before it works', async () => {
    const key = await arrange('takeover')
    const id = await engine.rotate('takeover')
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let met = false
    standIns.put((session) => ({
      promote: async (order, call) => {
        met = true
        await held
        return session.promote(order, call)
      },
    }))
    const slow = engine.worker('slow')(id)
    for (let n = 0; n < 200 && !met; n++) await new Promise((resolve) => setTimeout(resolve, 20))
    standIns.away()
    await engine.clock.advance(30_000)

    const { ledger } = engine.deps
    const cut = engine.worker('cut', {
      ledger: { ...ledger, commit: () => Promise.reject(new Error('the connection broke')) },
    })
    await cut(id).catch(() => undefined)
    expect((await engine.rotation(id)).epoch).toBe(1)
    await engine.clock.advance(30_000)
    const next = engine.worker('next')
    await next(id)
    expect((await engine.rotation(id)).epoch).toBe(2)
    release()
    await slow
    expect((await engine.until(id, 'end')).phase).toBe('completed')
    expect(await engine.vault.list(key.id)).toHaveLength(2)
  })
})
