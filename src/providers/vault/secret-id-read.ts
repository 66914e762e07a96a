// What Vault tells of the secret_ids of an AppRole: by their accessors, never the secret_ids themselves.

import type { JsonObject } from '#domain/json.ts'
import type { Call, ProviderVersion } from '#domain/provider.ts'
import type { SecretIdRef } from './refs.ts'
import type { Ask } from './session.ts'
import { fieldsOf, numberOf, textOf, textsOf, type Fields } from '../untyped-json.ts'

const noRole = /role ".*" does not exist/

/** Null: there is no such role. */
export const readRole = async (ask: Ask, ref: SecretIdRef, call: Call): Promise<Fields | null> => {
  const reply = await ask({ verb: 'read', path: ref.rolePath, accept: [404] }, call)
  return reply.status === 404 ? null : reply.data
}

/** Null: there is no such role. */
export const listAccessors = async (
  ask: Ask,
  ref: SecretIdRef,
  call: Call,
): Promise<readonly string[] | null> => {
  const reply = await ask(
    { verb: 'list', path: ref.listPath, accept: [404], acceptSaying: noRole },
    call,
  )
  return reply.errors.length > 0 ? null : textsOf(reply.data['keys'])
}

export interface SecretIdTold {
  readonly accessor: string
  readonly createdAt: Date | null
  /** Null: it does not end by itself. */
  readonly expiresAt: Date | null
  /** That made it; null where somebody else did. */
  readonly operation: string | null
}

/** In the metadata of a secret_id, and by it on its tokens. */
export const operationField = 'rekey_operation'

/** Null: there is none of that accessor (any more). One whose time is over is tidied away later, and is none either. */
export const lookUpAccessor = async (
  ask: Ask,
  ref: SecretIdRef,
  accessor: string,
  now: Date,
  call: Call,
): Promise<SecretIdTold | null> => {
  const reply = await ask(
    {
      verb: 'write',
      path: ref.lookUpAccessorPath,
      body: { secret_id_accessor: accessor },
      accept: [404],
      acceptSaying: noRole,
    },
    call,
  )
  return reply.status === 200 ? toldIn(reply.data, now) : null
}

/** By the secret_id itself; null: Vault does not take it. No login, so that nothing counts as a failed one: five of those lock
 *  the whole role. */
export const lookUp = async (
  ask: Ask,
  ref: SecretIdRef,
  secretId: string,
  now: Date,
  call: Call,
): Promise<SecretIdTold | null> => {
  const reply = await ask(
    {
      verb: 'write',
      path: ref.lookUpPath,
      body: { secret_id: secretId },
      accept: [404],
      acceptSaying: noRole,
    },
    call,
  )
  return reply.status === 200 ? toldIn(reply.data, now) : null
}

const toldIn = (data: Fields, now: Date): SecretIdTold | null => {
  const expiresAt = dateOf(data['expiration_time'])
  return expiresAt !== null && expiresAt <= now
    ? null
    : {
        accessor: textOf(data['secret_id_accessor']),
        createdAt: dateOf(data['creation_time']),
        expiresAt,
        operation: textOf(fieldsOf(data['metadata'])[operationField]) || null,
      }
}

/** For a time that is none Vault says the year 1. */
const dateOf = (value: unknown): Date | null => {
  const at = new Date(textOf(value))
  return Number.isNaN(at.getTime()) || at.getUTCFullYear() <= 1 ? null : at
}

export const versionOf = ({ accessor, createdAt, expiresAt }: SecretIdTold): ProviderVersion => ({
  id: accessor,
  state: 'enabled',
  current: false,
  ...(createdAt === null ? {} : { createdAt }),
  ...(expiresAt === null ? {} : { expiresAt }),
})

export const factsOf = (role: Fields): JsonObject => ({
  secretIdUses: numberOf(role['secret_id_num_uses']),
  secretIdTtlSeconds: numberOf(role['secret_id_ttl']),
  tokenTtlSeconds: numberOf(role['token_ttl']),
  tokenMaxTtlSeconds: numberOf(role['token_max_ttl']),
  tokenType: textOf(role['token_type']),
})
