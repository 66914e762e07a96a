// The process that owns a token: what it is told, and what is left when it dies.

import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Logins, MintOrder, ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { makeNativeProcess } from '#runtime/native-process.ts'
import { pkcs11 } from '#providers/pkcs11/provider.ts'
import { libraryEnvironment } from '#src/config.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { type SoftHsm, startSoftHsm, type TestToken } from '#test/peers/softhsm.ts'
import { peer } from '#test/support/peers.ts'

const call = (ms = 20_000) => ({ signal: AbortSignal.timeout(ms) })

/** In hundredths of a second. */
const cpuOf = (pid: number | undefined): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[11])
}

test('a library gets the variables that libraries read, and nothing of Rekey or of a secret', () => {
  const passed = { SOFTHSM2_CONF: '/etc/s', PATH: '/bin', LD_LIBRARY_PATH: '/lib' }
  const kept = {
    MYSQL_PWD: '1',
    KUBECONFIG: '1',
    LD_PRELOAD: '1',
    ACME_HSM_CONF: '/etc/acme',
    REKEY_CREDENTIAL_X: '1',
    DATABASE_URL: '1',
    PGPASSWORD: '1',
    AWS_SECRET_ACCESS_KEY: '1',
    GITHUB_TOKEN: '1',
    NODE_OPTIONS: '1',
    HSM_PIN: '1',
  }
  const env = { ...passed, ...kept, GONE: undefined }
  expect(libraryEnvironment([], env)).toEqual(passed)
  expect(libraryEnvironment(['ACME_HSM_CONF'], env)).toEqual({
    ...passed,
    ACME_HSM_CONF: '/etc/acme',
  })
})

peer('softhsm').describe('the process of a token', () => {
  let hsm: SoftHsm
  let token: TestToken
  beforeAll(() => {
    hsm = startSoftHsm()
    token = hsm.token('process', 'planted-pin-0f')
  })
  afterAll(() => hsm.stop())

  let now = new Date()
  const connect = (logins?: Logins, pin = token.pin): Session =>
    pkcs11.connect({
      connection: 'c',
      externalId: 'x',
      settings: { library: hsm.library, tokenLabel: token.label },
      credential: new Secret(pin),
      ports: {
        ...plainPorts(),
        nativeModules: [hsm.library],
        nativeProcess: (main) =>
          makeNativeProcess(main, { now: () => now, env: () => libraryEnvironment() }),
        ...(logins ? { logins } : {}),
      },
    })
  const object = (label: string): ObjectAddress => ({
    type: 'pkcs11.key',
    ref: { label },
    keyId: randomUUID(),
    keyName: label,
  })
  const order = (label: string, algorithm = 'aes256') => ({
    object: object(label),
    operationId: `${randomUUID()}:create:1`,
    preImage: {},
    generate: { algorithm },
    material: null,
  })
  const children = (): readonly number[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
          return (
            Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === process.pid &&
            readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('token-main')
          )
        } catch {
          return false
        }
      })

  /** What is asked stays under way until it may go on. */
  const standStill = (): (() => void) => {
    const [pid] = children()
    process.kill(pid ?? 0, 'SIGSTOP')
    return () => void process.kill(pid ?? 0, 'SIGCONT')
  }

  /** Kills the process that is busy with it. How it went, in one word. */
  const killedWhileMaking = async (session: Session, made: MintOrder): Promise<string> => {
    const [pid] = children()
    const before = cpuOf(pid)
    let went = ''
    const making = session.create(made, call(60_000)).then(
      () => (went = 'made'),
      (error: { kind: string }) => (went = error.kind),
    )
    // Reading takes less than a hundredth of a second.
    await expect.poll(() => went !== '' || cpuOf(pid) > before + 2, { interval: 1 }).toBe(true)
    process.kill(pid ?? 0, 'SIGKILL')
    await making
    now = new Date(now.getTime() + 60_000)
    return went
  }

  test('nothing is started before something is asked, and the PIN stands in no argument or variable', async () => {
    process.env['REKEY_CREDENTIAL_PLANTED'] = 'planted-in-env'
    const session = connect()
    expect(children()).toEqual([])
    await session.create(order('args'), call())
    const [pid, ...others] = children()
    expect(others).toEqual([])
    const told = ['cmdline', 'environ'].map((of) => readFileSync(`/proc/${pid}/${of}`, 'latin1'))
    expect(told.join()).toContain('SOFTHSM2_CONF')
    expect(told.join()).not.toContain(token.pin)
    expect(told.join()).not.toContain('planted-in-env')
    await session.close()
    await expect.poll(children).toEqual([])
    delete process.env['REKEY_CREDENTIAL_PLANTED']
  })

  test('killed between two calls, it is started again by whoever reads next, and logs in by itself', async () => {
    const session = connect()
    const made = order('killed')
    await session.create(made, call())
    const [first] = children()
    process.kill(first ?? 0, 'SIGKILL')
    // Its death may be known here by now, or only found by this very call.
    expect((await session.describe(made.object, call())).versions).toHaveLength(1)
    expect(children()).not.toContain(first)
    await session.close()
  })

  test('killed in the middle of a call, or past its deadline: unknown, and the same order ends with one key', async () => {
    const session = connect()
    await session.create(order('warm'), call())
    // A kill that comes before the token works, or after it, tells nothing.
    let made = order('middle-0', 'rsa3072')
    for (let n = 1; (await killedWhileMaking(session, made)) !== 'outcomeUnknown'; n++)
      made = order(`middle-${n}`, 'rsa3072')
    await session.describe(object('warm'), call())

    const late = order('late', 'rsa3072')
    const error = await session.create(late, call(20)).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'timeout' })

    now = new Date(now.getTime() + 60_000)
    for (const again of [made, late]) {
      await session.create(again, call(60_000))
      const label = again.object.keyName
      const there = hsm.seen(token).filter((of) => of.label === label)
      expect(there.map(({ kind }) => kind).toSorted()).toEqual(['private', 'public'])
      expect((await session.probeMint(again, call())).answer).toBe('ours')
    }
    await session.close()
  })

  test('whoever waits in the line and gives up has asked nothing', async () => {
    const session = connect()
    await session.create(order('line'), call())
    const goOn = standStill()
    const first = session.describe(object('line'), call())
    const behind = order('behind')
    const patience = new AbortController()
    const asked = session.create(behind, { signal: patience.signal })
    await setImmediate()
    patience.abort()
    await expect(asked).rejects.toMatchObject({ kind: 'timeout', effect: 'none' })
    goOn()
    expect((await first).versions).toHaveLength(1)
    expect((await session.probeMint(behind, call())).answer).toBe('absent')
    await session.close()
  })

  test('whoever waits in the line while the process dies under another asks one that has the token open', async () => {
    const session = connect()
    await session.create(order('crowd'), call())
    const [first] = children()
    standStill()
    const patience = new AbortController()
    const asked = session.describe(object('crowd'), { signal: patience.signal })
    const behind = Promise.all([1, 2].map(() => session.describe(object('crowd'), call())))
    await setImmediate()
    patience.abort()
    await expect(asked).rejects.toMatchObject({ kind: 'timeout', effect: 'none' })
    for (const { versions } of await behind) expect(versions).toHaveLength(1)
    expect(children()).not.toContain(first)
    await session.close()
  })

  test('a login of unknown outcome is not repeated where the token has counted a wrong one', async () => {
    const told: string[] = []
    const logins: Logins = {
      claim: async () => 'tryAfterDeath',
      ended: async (_pin, how) => void told.push(how),
    }
    const wrong = connect(undefined, 'no')
    await wrong.describe(object('args'), call()).catch(() => undefined)
    await wrong.close()
    const session = connect(logins)
    const error = await session.describe(object('args'), call()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ kind: 'auth', effect: 'none' })
    expect(told).toEqual(['refused'])
    await session.close()
    // The right one sets the counter back.
    const right = connect()
    await right.describe(object('args'), call())
    await right.close()
  })
})
