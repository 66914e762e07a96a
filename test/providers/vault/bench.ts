import { randomUUID } from 'node:crypto'
import type { JsonObject } from '#domain/json.ts'
import type { Call, MintOrder, ObjectAddress, ProviderPorts, Session } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { vault } from '#providers/vault/provider.ts'
import { plainPorts } from '#test/contract/peer.ts'
import { vaultAddress } from '#test/contract/vault-peer.ts'
import type { VaultPeer } from '#test/peers/vault.ts'

export const call = (more: Partial<Call> = {}): Call => ({
  signal: AbortSignal.timeout(10_000),
  ...more,
})

export const open = (
  address: string,
  credential: string | JsonObject,
  more: { readonly settings?: JsonObject; readonly ports?: Partial<ProviderPorts> } = {},
): Session =>
  vault.connect({
    connection: 'test',
    externalId: 'x',
    settings: {
      address,
      auth: { method: typeof credential === 'string' ? 'token' : 'appRole' },
      ...more.settings,
    },
    credential: new Secret(
      typeof credential === 'string' ? credential : JSON.stringify(credential),
    ),
    ports: { ...plainPorts(), ...more.ports },
  })

export const secretAt = (path: string, more: JsonObject = {}): ObjectAddress =>
  vaultAddress('vault.kv2.secret', { mount: 'secret', path, field: 'password', ...more })

export const transitAt = (name: string): ObjectAddress =>
  vaultAddress('vault.transit.key', { mount: 'transit', name })

/** A secret with `data`, written by somebody who is not Rekey. */
export const putSecret = async (
  peer: VaultPeer,
  data: JsonObject,
  path: string = randomUUID(),
  mount = 'secret',
): Promise<ObjectAddress> => {
  await peer.api('POST', `${mount}/data/${path}`, { data })
  return secretAt(path, { mount })
}

export const order = async (
  session: Session,
  object: ObjectAddress,
  current: string | null,
  material: string | null = randomUUID(),
): Promise<MintOrder> => ({
  object,
  operationId: `${randomUUID()}:minting:1`,
  preImage: (await session.prepare(object, current, call())).preImage,
  generate: {},
  material: material === null ? null : new Secret(material),
})

/** A token of its own with these HCL rules and no others. */
export const tokenWith = async (
  peer: VaultPeer,
  policy: string,
  more: JsonObject = {},
): Promise<string> => {
  const name = `test-${randomUUID()}`
  await peer.api('PUT', `sys/policies/acl/${name}`, { policy })
  const made = await peer.api('POST', 'auth/token/create', { policies: [name], ttl: '1h', ...more })
  return String(made.auth['client_token'])
}

/** An AppRole whose tokens may do these things. */
export const appRoleWith = async (
  peer: VaultPeer,
  policy: string,
  more: JsonObject = {},
): Promise<{ readonly roleId: string; readonly secretId: string; readonly role: string }> => {
  const role = `role-${randomUUID()}`
  await peer.api('PUT', `sys/policies/acl/${role}`, { policy })
  await peer.api('POST', `auth/approle/role/${role}`, {
    token_policies: [role],
    token_ttl: '1h',
    ...more,
  })
  const roleId = (await peer.api('GET', `auth/approle/role/${role}/role-id`)).data['role_id']
  const secretId = (await peer.api('POST', `auth/approle/role/${role}/secret-id`)).data['secret_id']
  return { role, roleId: String(roleId), secretId: String(secretId) }
}

/** How often Vault has answered this operation at this path without an error. */
export const done = (peer: VaultPeer, path: string, operation = 'update'): number =>
  peer
    .auditLog()
    .filter(
      (line) =>
        line.type === 'response' &&
        line.error === undefined &&
        line.request.path === path &&
        line.request.operation === operation,
    ).length
