import { addressOf, type PostgresSettings } from './settings.ts'
import { pairName } from './versions.ts'

/** `postgres.user:db.example.com:5432/app_a+app_b`, in whatever order the two were written. Users are those of the whole
 *  server: the database is no part of it. */
export const objectIdOf = (
  settings: Pick<PostgresSettings, 'host' | 'port'>,
  users: readonly [string, string],
): string => `postgres.user:${addressOf(settings)}/${pairName(users)}`
