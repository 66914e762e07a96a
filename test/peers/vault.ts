// A real HashiCorp Vault, or OpenBao, in dev mode: in memory, unsealed, TLS off, on loopback. Effects are counted in its own
// audit log.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peers } from './peers.ts'
import { freePort, startProcess, untilReady } from './start-process.ts'

/** One line of Vault's audit log, as far as tests read it. Paths and operations are plain, values are HMACs. */
interface VaultAuditLine {
  readonly type: 'request' | 'response'
  readonly error?: string
  readonly request: {
    readonly id: string
    readonly operation: string
    readonly path: string
    readonly headers?: Readonly<Record<string, readonly string[]>>
  }
}

export interface VaultPeer {
  readonly address: string
  /** The root token: for arranging, never for the adapter under test. */
  readonly token: string
  readonly auditLog: () => readonly VaultAuditLine[]
  /** The log as text: nothing that a test planted may be in it. */
  readonly auditText: () => string
  /** Arranges or looks with the root token; throws on any status but 2xx and 404. */
  readonly api: (method: string, path: string, body?: unknown) => Promise<VaultReply>
  readonly stop: () => Promise<void>
}

/** OpenBao takes audit devices from its configuration only. */
const auditStanza = (path: string): string =>
  `audit "file" "file" {\n  options {\n    file_path = "${path}"\n  }\n}\n`

const unset = (names: readonly string[]): Record<string, undefined> =>
  Object.fromEntries(
    names.flatMap((name) => [
      [`VAULT_${name}`, undefined],
      [`BAO_${name}`, undefined],
    ]),
  )

interface VaultReply {
  readonly status: number
  readonly data: Readonly<Record<string, unknown>>
  readonly auth: Readonly<Record<string, unknown>>
}

/** Vault itself gives up a request after this long: what it was sent and lost can be sent again so soon. Connections to it say
 *  the same in `maxRequestDuration`. */
export const maxRequestDuration = '5s'

export type VaultKind = 'vault' | 'openbao'

/** Mounted: `secret/` (kv version 2), `transit/`, `auth/approle/`. */
export const startVault = async (
  at: { readonly port?: number; readonly dir?: string; readonly kind?: VaultKind } = {},
): Promise<VaultPeer> => {
  const { kind = 'vault' } = at
  const binary = peers[kind].find()
  if (binary === null) throw new Error(`${kind} is not here: run \`npm run peers\``)
  const port = at.port ?? (await freePort())
  const dir = at.dir ?? mkdtempSync(join(tmpdir(), 'rekey-vault-'))
  const token = 'root-of-the-test-vault'
  const address = `http://127.0.0.1:${port}`
  const config = join(dir, 'vault.hcl')
  const auditFile = join(dir, 'audit.log')
  writeFileSync(
    config,
    `default_max_request_duration = "${maxRequestDuration}"\n${kind === 'openbao' ? auditStanza(auditFile) : ''}`,
  )
  const server = startProcess(
    binary,
    [
      ...['server', '-dev', `-dev-root-token-id=${token}`, `-dev-listen-address=127.0.0.1:${port}`],
      ...['-dev-no-store-token', '-log-level=warn', `-config=${config}`],
    ],
    // Variables of a developer's own Vault must not reach the peer.
    { HOME: dir, ...unset(['ADDR', 'TOKEN', 'NAMESPACE']) },
  )
  await untilReady('vault', server, async () => {
    const reply = await fetch(`${address}/v1/sys/health`)
    return reply.status === 200
  })
  const api = makeApi(address, token)
  if (kind === 'vault')
    await api('PUT', 'sys/audit/file', { type: 'file', options: { file_path: auditFile } })
  // On a busy machine it may take longer than Vault lets a request take.
  await untilReady('vault transit', server, async () => {
    await api('POST', 'sys/mounts/transit', { type: 'transit' }).catch(() => undefined)
    return (await api('GET', 'sys/mounts/transit/tune')).status === 200
  })
  await api('POST', 'sys/auth/approle', { type: 'approle' })
  // A fresh kv mount upgrades itself for a moment and answers 400 meanwhile.
  await untilReady(
    'vault kv',
    server,
    async () => (await api('GET', 'secret/config')).status === 200,
  )

  const auditText = (): string => readFileSync(auditFile, 'utf8')
  return {
    address,
    token,
    api,
    auditText,
    auditLog: () =>
      auditText()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as VaultAuditLine),
    stop: async () => {
      await server.stop()
      if (at.dir === undefined) rmSync(dir, { recursive: true, force: true })
    },
  }
}

const makeApi =
  (address: string, token: string): VaultPeer['api'] =>
  async (method, path, body) => {
    const reply = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'X-Vault-Token': token },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    if (!reply.ok && reply.status !== 404)
      throw new Error(`${method} ${path}: ${reply.status} ${text}`)
    const json = (text === '' ? {} : JSON.parse(text)) as Partial<VaultReply>
    return { status: reply.status, data: json.data ?? {}, auth: json.auth ?? {} }
  }
