// What Vault tells of a static role without its password.

import type { JsonObject } from '#domain/json.ts'
import { occurrenceAfter } from '#domain/occurrences.ts'
import { ProviderError, type Call, type ProviderVersion } from '#domain/provider.ts'
import type { StaticRoleRef } from './refs.ts'
import type { Ask } from './session.ts'
import { numberOf, textOf, type Fields } from '../untyped-json.ts'

export interface Role {
  /** As Vault writes it. Empty: Vault has never rotated it. */
  readonly rotatedAt: string
  readonly database: string
  readonly username: string
  readonly kind: string
  readonly periodMs: number
  /** Five cron fields; empty where there is a period. */
  readonly schedule: string
}

/** Null: there is none. */
export const readRole = async (ask: Ask, ref: StaticRoleRef, call: Call): Promise<Role | null> => {
  const reply = await ask({ verb: 'read', path: ref.rolePath, accept: [404] }, call)
  if (reply.status !== 404) return roleFrom(reply.data)
  if (reply.errors.length === 0) return null
  throw new ProviderError('notFound', 'none', 'nothing in Vault answers at this path', {
    hint: `check that a database engine is mounted at ${ref.mount}/, and the namespace`,
  })
}

const roleFrom = (data: Fields): Role => ({
  rotatedAt: textOf(data['last_vault_rotation']) || 'never',
  database: textOf(data['db_name']),
  username: textOf(data['username']),
  kind: textOf(data['credential_type']) || 'password',
  periodMs: numberOf(data['rotation_period']) * 1000,
  schedule: textOf(data['rotation_schedule']),
})

export const versionOf = (role: Role): ProviderVersion => {
  const createdAt = new Date(role.rotatedAt)
  if (Number.isNaN(createdAt.getTime()))
    return { id: role.rotatedAt, state: 'enabled', current: true }
  const expiresAt = nextByVault(role, createdAt.getTime())
  return {
    id: role.rotatedAt,
    state: 'enabled',
    current: true,
    createdAt,
    ...(expiresAt === null ? {} : { expiresAt }),
  }
}

/** Vault counts its period from the last rotation, whoever asked for it; schedules are in UTC there. */
const nextByVault = ({ periodMs, schedule }: Role, since: number): Date | null => {
  if (periodMs > 0) return new Date(since + periodMs)
  try {
    const next = occurrenceAfter(schedule, 'UTC', since)
    return next === null ? null : new Date(next.at)
  } catch {
    // A line that only Vault reads.
    return null
  }
}

export const factsOf = (role: Role): JsonObject => ({
  database: role.database,
  username: role.username,
  ...(role.schedule === ''
    ? { rotationPeriodSeconds: role.periodMs / 1000 }
    : { rotationSchedule: role.schedule }),
})

export const ownRotation = ({ periodMs, schedule }: Role): string =>
  schedule === '' ? `rotation_period ${periodMs / 1000} s` : `rotation_schedule ${schedule}`
