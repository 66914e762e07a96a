// Who holds a token, and what it may do. A service account has permissions of a role; a service token opens its config and
// nothing else; a person may do everything. `Bearer` only.

import { randomBytes, randomUUID } from 'node:crypto'
import type { ConfigRow, TokenRow, Workplace } from './workplace.ts'

export interface Principal {
  readonly slug: string
  readonly name: string
  readonly type: 'service_account' | 'service' | 'personal'
  readonly createdAt: string
  readonly preview: string
  /** Of a service token. */
  readonly bound: ConfigRow | null
  /** Whether it sees that the config is there. */
  readonly sees: (config: ConfigRow) => boolean
  readonly may: (permission: string, config: ConfigRow) => boolean
}

export const makePrincipals = (workplace: Workplace) => {
  const holders = new Map<string, Principal>()

  const add = (
    prefix: string,
    type: 'service_account' | 'personal',
    permissions: readonly string[] | null,
  ): string => {
    const token = `${prefix}.${randomBytes(30).toString('base64url')}`
    holders.set(token, {
      slug: randomUUID(),
      name: type,
      type,
      createdAt: new Date().toISOString(),
      preview: `${token.slice(0, 5)}...${token.slice(-6)}`,
      bound: null,
      sees: () => true,
      may: (permission) => permissions === null || permissions.includes(permission),
    })
    return token
  }

  const ofConfig = (config: ConfigRow, row: TokenRow): Principal => ({
    slug: row.slug,
    name: row.name,
    type: 'service',
    createdAt: row.createdAt,
    preview: `${row.key.slice(0, 5)}...${row.key.slice(-6)}`,
    bound: config,
    sees: (other) => other === config,
    may: (permission, other) =>
      other === config &&
      (permission === 'enclave_project_config_secrets_read' ||
        (permission === 'enclave_project_config_secrets_write' && row.access === 'read/write')),
  })

  return {
    /** Null: everything. */
    account: (permissions: readonly string[] | null): string =>
      add('dp.sa', 'service_account', permissions),
    personal: (): string => add('dp.pt', 'personal', null),
    of: (header: string | undefined): Principal | null => {
      const token = /^Bearer (\S+)$/.exec(header ?? '')?.[1]
      if (token === undefined) return null
      for (const config of workplace.configs) {
        const row = config.tokens.find(({ key }) => key === token)
        if (row !== undefined)
          return row.expiresAt !== null && new Date(row.expiresAt) <= new Date()
            ? null
            : ofConfig(config, row)
      }
      return holders.get(token) ?? null
    },
  }
}
