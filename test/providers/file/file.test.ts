import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Call, ObjectAddress, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { files } from '#providers/file/provider.ts'
import { plainPorts } from '#test/contract/peer.ts'

let top: string
let directory: string
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'rekey-file-'))
  directory = join(top, 'published')
  mkdirSync(directory, { mode: 0o700 })
})
afterEach(() => {
  rmSync(top, { recursive: true, force: true })
})

const connected = (publishDir: string | null = directory): Session =>
  files.connect({
    connection: 'c',
    externalId: 'x',
    settings: {},
    credential: null,
    ports: { ...plainPorts(), publishDir },
  })
const at = (path: string): ObjectAddress => ({
  type: 'file',
  ref: { path },
  keyId: 'k',
  keyName: 'k',
})
const call = (more: Partial<Call> = {}): Call => ({ signal: AbortSignal.timeout(5_000), ...more })
const create = (path: string, session = connected(), value = 'new') =>
  session.create(
    {
      object: at(path),
      operationId: 'o:distribute:1',
      preImage: {},
      generate: {},
      material: new Secret(value),
    },
    call(),
  )
const read = (path: string): string => readFileSync(join(directory, path), 'utf8')

test('a file is made with the value and nothing else, for its owner alone', async () => {
  // Other files of tests share the process.
  const before = process.umask(0o000)
  try {
    await create('password')
  } finally {
    process.umask(before)
  }
  expect(read('password')).toBe('new')
  expect(lstatSync(join(directory, 'password')).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory)).toEqual(['password'])
})

test('what is taken back is gone under every name, also the one that a crash has left', async () => {
  await create('password')
  writeFileSync(join(directory, '.password.rekey-0123456789abcdef'), 'new', { mode: 0o600 })
  const session = connected()
  const [version] = (await session.describe(at('password'), call())).versions
  const bounds = call({ takeBack: true })
  await session.retire(at('password'), version?.id ?? '', 'destroy', bounds)
  expect(readdirSync(directory)).toEqual([])
})

test('a file that others could read is theirs no more after the write', async () => {
  writeFileSync(join(directory, 'password'), 'old', { mode: 0o644 })
  const session = connected()
  const [version] = (await session.describe(at('password'), call())).versions
  const { preImage } = await session.prepare(at('password'), version?.id ?? '', call())
  const order = {
    object: at('password'),
    operationId: 'o:1',
    preImage,
    generate: {},
    material: new Secret('new'),
  }
  await session.mint(order, call())
  expect(lstatSync(join(directory, 'password')).mode & 0o777).toBe(0o600)
})

describe('what is not ours is neither written over nor read', () => {
  const refused = async (path: string): Promise<void> => {
    await expect(create(path)).rejects.toMatchObject({ kind: 'precondition', effect: 'none' })
    await expect(connected().describe(at(path), call())).rejects.toMatchObject({
      kind: 'precondition',
    })
  }
  test('a link, and what it leads to', async () => {
    writeFileSync(join(top, 'secret'), 'untouched')
    symlinkSync(join(top, 'secret'), join(directory, 'link'))
    await refused('link')
    expect(readFileSync(join(top, 'secret'), 'utf8')).toBe('untouched')
  })
  test('a folder that is a link', async () => {
    mkdirSync(join(top, 'elsewhere'))
    symlinkSync(join(top, 'elsewhere'), join(directory, 'folder'))
    await refused('folder/password')
    expect(readdirSync(join(top, 'elsewhere'))).toEqual([])
  })
  test('a folder that others may change', async () => {
    mkdirSync(join(directory, 'open'))
    chmodSync(join(directory, 'open'), 0o777)
    await refused('open/password')
  })
  test('a folder above REKEY_PUBLISH_DIR that others may change, though they may not change itself', async () => {
    chmodSync(top, 0o777)
    await refused('password')
    await expect(create('password')).rejects.toMatchObject({
      hint: expect.stringContaining(top),
    })
    expect(readdirSync(directory)).toEqual([])
    // In a folder for everybody nobody moves what is another's.
    chmodSync(top, 0o1777)
    await create('password')
  })
  test('REKEY_PUBLISH_DIR by a link that others could lead elsewhere', async () => {
    mkdirSync(join(top, 'open'))
    chmodSync(join(top, 'open'), 0o755)
    symlinkSync(directory, join(top, 'open', 'link'))
    await create('by-link', connected(join(top, 'open', 'link')))
    expect(read('by-link')).toBe('new')
    chmodSync(join(top, 'open'), 0o777)
    await expect(
      create('by-link-again', connected(join(top, 'open', 'link'))),
    ).rejects.toMatchObject({ kind: 'precondition', effect: 'none' })
    // A sticky folder keeps links of ours; one of somebody else's leads where they like.
    chmodSync(join(top, 'open'), 0o1777)
    await create('by-link-again', connected(join(top, 'open', 'link')))
    if (process.getuid?.() !== 0) return
    lchownSync(join(top, 'open', 'link'), 65_534, 65_534)
    await expect(
      create('by-link-once-more', connected(join(top, 'open', 'link'))),
    ).rejects.toMatchObject({ kind: 'precondition' })
  })
  test('links that lead in a circle', async () => {
    symlinkSync(join(top, 'b'), join(top, 'a'))
    symlinkSync(join(top, 'a'), join(top, 'b'))
    await expect(create('password', connected(join(top, 'a')))).rejects.toMatchObject({
      kind: 'precondition',
    })
  })
  test('a folder that is not there', () => refused('nowhere/password'))
  test('a folder in place of the file', async () => {
    mkdirSync(join(directory, 'folder'))
    await refused('folder')
  })
  test('a pipe, which would be waited for', async () => {
    spawnSync('sh', ['-c', 'mkfifo "$0"', join(directory, 'pipe')])
    await refused('pipe')
  })
  test('what is no text, or too large', async () => {
    writeFileSync(join(directory, 'bytes'), Buffer.from([0xff, 0xfe, 0x00]))
    await refused('bytes')
    writeFileSync(join(directory, 'large'), 'x'.repeat(70_000))
    await refused('large')
  })
  test.runIf(process.getuid?.() === 0)('a file of somebody else', async () => {
    writeFileSync(join(directory, 'theirs'), 'theirs')
    spawnSync('chown', ['65534', join(directory, 'theirs')])
    await refused('theirs')
  })
  test('where no directory was named', async () => {
    await expect(create('password', connected(null))).rejects.toMatchObject({
      kind: 'precondition',
      hint: expect.stringContaining('REKEY_PUBLISH_DIR'),
    })
    expect(await connected(null).check(call(), [at('password')])).toMatchObject([
      { outcome: 'missing' },
      { outcome: 'missing' },
    ])
  })
})

test.each(['../x', '/etc/passwd', 'a/../b', '.hidden', 'a/.b', 'a//b', 'a/', 'a\0b', 'ключ', ''])(
  'the path %j is refused before anything is done',
  async (path) => {
    await expect(create(path)).rejects.toMatchObject({ kind: 'permanent', effect: 'none' })
    expect(readdirSync(directory)).toEqual([])
  },
)

test.each(['A.b-c_d', '1', 'x'.repeat(128), 'password.txt'])(
  'the path %j is the file of that name',
  async (path) => {
    await create(path)
    expect(readdirSync(directory)).toEqual([path])
  },
)

test('a value of which a byte is too much is refused before anything is written', async () => {
  await expect(create('large', connected(), 'x'.repeat(64 * 1024 + 1))).rejects.toMatchObject({
    kind: 'permanent',
    effect: 'none',
  })
  expect(readdirSync(directory)).toEqual([])
})

test('only undo of a publish, or an incident, takes a file away', async () => {
  const session = connected()
  const { providerVersion } = await create('password', session)
  await expect(
    session.retire(at('password'), providerVersion, 'destroy', call()),
  ).rejects.toMatchObject({
    kind: 'precondition',
  })
  await session.retire(at('password'), providerVersion, 'destroy', call({ takeBack: true }))
  expect(readdirSync(directory)).toEqual([])
})

describe.each([{ before: 'old' }, { before: '' }])(
  'a process that is killed while it writes over "$before"',
  ({ before }) => {
    test('leaves the old value or the new one, whole, whatever the step; the next write leaves no trace of it', async () => {
      const path = 'password'
      const file = join(directory, path)
      const run = (step: number) => {
        if (before === '') rmSync(file, { force: true })
        else writeFileSync(file, before, { mode: 0o600 })
        const script = join(import.meta.dirname, '../../support/write-and-die.ts')
        const ran = spawnSync(process.execPath, [
          script,
          directory,
          path,
          before,
          'new value',
          String(step),
        ])
        return {
          died: ran.signal === 'SIGKILL',
          text: ran.stdout.toString(),
          said: ran.stderr.toString(),
        }
      }
      const whole = run(0)
      expect(whole, whole.said).toMatchObject({ died: false })
      const steps = Number(whole.text)
      expect(steps).toBeGreaterThan(12)
      for (let step = 1; step <= steps; step++) {
        expect(run(step).died, String(step)).toBe(true)
        const session = connected()
        const order = {
          object: at(path),
          operationId: 'o:distribute:1',
          preImage: {
            held: before === '' ? null : plainPorts().nameOf(`file:${path}`, new Secret(before)),
          },
          generate: {},
          material: new Secret('new value'),
        }
        const probe = await session.probeMint(order, call())
        const held = before === '' && probe.answer === 'absent' ? null : read(path)
        expect(held).toBe(probe.answer === 'ours' ? 'new value' : before === '' ? null : before)
        expect(['ours', 'absent']).toContain(probe.answer)
        // As the engine goes on: adopted, or done again; and the rotation after it.
        if (probe.answer === 'absent') await session.mint(order, call())
        expect(read(path)).toBe('new value')
        const [version] = (await session.describe(at(path), call())).versions
        const { preImage } = await session.prepare(at(path), version?.id ?? '', call())
        await session.mint({ ...order, preImage, material: new Secret('newer') }, call())
        expect(readdirSync(directory)).toEqual([path])
        expect(read(path)).toBe('newer')
      }
    }, 120_000)
  },
)
