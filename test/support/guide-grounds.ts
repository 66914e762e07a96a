// Where guides are followed: the addresses, files and names that a reader of theirs has, in place of those that they print.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { chmod } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '#runtime/embedded-postgres.ts'
import { peers } from '#test/peers/peers.ts'
import { freePort } from '#test/peers/start-process.ts'
import { startVault, type VaultPeer } from '#test/peers/vault.ts'
import { root } from './guide.ts'
import { openRekey, type RekeyProcess } from './rekey-process.ts'

type Name = readonly [printed: string | RegExp, here: string]

export interface Ground {
  readonly env: Readonly<Record<string, string>>
  readonly programs: Readonly<Record<string, string>>
  /** A text of the guide for here. `key`: whose rotation is meant by ID. */
  filled(text: string, key: string): Promise<string>
  /** What stands in the reader's directory. */
  furnish(cwd: string): void
  /** Once nothing runs there any more. */
  leave(): Promise<void>
}

const replaced = (text: string, names: readonly Name[]): string =>
  names.reduce((so, [printed, here]) => so.replaceAll(printed, here), text)

export interface Common {
  readonly rekey: RekeyProcess
  readonly vault: VaultPeer | null
  readonly ground: () => Ground
  readonly stop: () => Promise<void>
}

/** `rekey up` on an empty machine, with its samples, a sink, and a Vault where there is one. All guides but one share it. */
export const openCommon = async (): Promise<Common> => {
  const vault = peers.vault.find() === null ? null : await startVault()
  const metricsPort = await freePort()
  const role = vault && (await roleOf(vault))
  const rekey = await openRekey({
    REKEY_SAMPLES: 'on',
    REKEY_METRICS_PORT: String(metricsPort),
    ...(role && {
      REKEY_CREDENTIAL_VAULT_PROD: JSON.stringify(role),
      REKEY_CREDENTIAL_VAULT_PROD_HOSTS: '127.0.0.1',
    }),
  })
  await rekey.start()
  await rekey.ask('PUT', '/v1/sinks/pager', {
    type: 'webhook',
    url: 'https://hooks.example.com',
    secret: `whsec_${Buffer.alloc(24, 7).toString('base64')}`,
  })
  const names: readonly Name[] = [
    ['127.0.0.1:7400', new URL(rekey.url).host],
    ['127.0.0.1:7401', `127.0.0.1:${metricsPort}`],
    ['/backups/', `${rekey.dir}/`],
    [/(\bkey\/|--key )NAME/g, '$1sample-api-token'],
    ['connection/NAME', 'connection/built-in'],
    ['policy/POLICY', 'policy/every-minute'],
    [/(\bsinks?\/)NAME/g, '$1pager'],
    ...(vault === null ? [] : namesOf(vault)),
  ]
  const ground = (): Ground => {
    // It is there as long as the process is.
    if (!existsSync(join(rekey.dir, 'run.json')))
      throw new Error(`Rekey has ended by itself:\n${rekey.output()}`)
    const { database } = JSON.parse(readFileSync(join(rekey.dir, 'run.json'), 'utf8'))
    return {
      env: {
        REKEY_URL: rekey.url,
        REKEY_TOKEN: readFileSync(join(rekey.dir, 'admin-key'), 'utf8').trim(),
        REKEY_DATA_DIR: rekey.dir,
        REKEY_DATABASE_URL: database.roles.app,
        REKEY_MIGRATION_DATABASE_URL: database.roles.superuser,
        ...(vault === null ? {} : { VAULT_ADDR: vault.address, VAULT_TOKEN: vault.token }),
      },
      programs: vault === null ? {} : { vault: peers.vault.find() ?? '' },
      filled: async (text, key) => {
        const named = replaced(text, names)
        if (!/\bID\b/.test(named)) return named
        const [newest] = await rekey.list(`/v1/rotations?key=${key}`)
        return named.replaceAll(/\bID\b/g, newest?.id)
      },
      furnish: (cwd) => symlinkSync(rekey.dir, join(cwd, '.rekey')),
      // Two guides register the same object.
      leave: async () => {
        await rekey.call('DELETE', '/v1/keys/app-db-password', undefined, { 'if-match': '*' })
      },
    }
  }
  const stop = async (): Promise<void> => {
    await rekey.stop()
    await vault?.stop()
  }
  return { rekey, vault, ground, stop }
}

/** In a clone. */
export const withPolicies = (ground: Ground): Ground => ({
  ...ground,
  furnish: (cwd) => {
    ground.furnish(cwd)
    cpSync(join(root, 'policies'), join(cwd, 'policies'), { recursive: true })
  },
})

/** The process has its credential from its start on; the guide makes the same role again. */
const roleOf = async ({ api }: VaultPeer) => {
  await api('POST', 'auth/approle/role/rekey', { token_policies: 'rekey' })
  const id = await api('GET', 'auth/approle/role/rekey/role-id')
  const secret = await api('POST', 'auth/approle/role/rekey/secret-id')
  // What the reader of the tutorial has not enabled yet.
  await api('DELETE', 'sys/mounts/transit')
  // What the reader of how-to/vault.md has.
  await api('POST', 'secret/data/app/db', { data: { user: 'app', password: 'first' } })
  return { roleId: id.data['role_id'], secretId: secret.data['secret_id'] }
}

const namesOf = ({ address, token }: VaultPeer): readonly Name[] => [
  [/https?:\/\/(?:127\.0\.0\.1|vault\.example\.com):8200/g, address],
  ['VAULT_TOKEN=root', `VAULT_TOKEN=${token}`],
  ['"value": "root"', `"value": "${token}"`],
]

/** A PostgreSQL of somebody's, with nothing of Rekey in it. */
export const openProduction = async (): Promise<Ground> => {
  const dir = mkdtempSync(join(tmpdir(), 'rekey-production-'))
  await chmod(dir, 0o711)
  const server = await startEmbeddedPostgres({ dataDir: dir, initdbFlags: ['--no-sync'] })
  const [api, apiMetrics, workerMetrics] = [await freePort(), await freePort(), await freePort()]
  return {
    env: {
      REKEY_URL: `http://127.0.0.1:${api}`,
      REKEY_PORT: String(api),
      REKEY_METRICS_PORT: String(apiMetrics),
      REKEY_LOG_LEVEL: 'warn',
    },
    programs: { node: process.execPath },
    filled: async (text) =>
      replaced(text, [
        ['postgresql://postgres@db.example.com/postgres', server.superuserUrl],
        ['/etc/rekey', join(dir, 'etc')],
        ['/var/lib/rekey', join(dir, 'data')],
        ['/backups', dir],
        ['7400', String(api)],
        ['7402', String(workerMetrics)],
      ]),
    furnish: (cwd) => {
      mkdirSync(join(dir, 'etc'))
      symlinkSync(join(root, 'scripts'), join(cwd, 'scripts'))
    },
    leave: async () => {
      await server.stop()
      rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    },
  }
}
