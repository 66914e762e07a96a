// Where the databases of static roles listen, for Rekey to log in with what Vault hands out. Vault knows its own way there,
// which is not told to others whole, and need not be Rekey's.

import { Type, type Static } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { readSettings, settingsSchema, type PostgresSettings } from '../postgres/settings.ts'
import { trimSlashes } from './paths.ts'

const { host, port, database, tls } = settingsSchema.properties

export const databasesSchema = Type.Array(
  Type.Object(
    {
      name: Type.String({
        description: 'As Vault calls it: the db_name of its static roles.',
        minLength: 1,
        maxLength: 512,
      }),
      mount: Type.Optional(
        Type.String({
          description: 'Of the database engine; database unless told.',
          minLength: 1,
          maxLength: 512,
        }),
      ),
      host,
      port,
      database,
      tls,
    },
    { additionalProperties: false },
  ),
  {
    description:
      'PostgreSQL databases of static roles that Rekey logs in to, to prove a new password and that the old one is refused. Without it Vault’s word must do.',
    maxItems: 100,
  },
)

export interface Database extends PostgresSettings {
  readonly name: string
  readonly mount: string
}

/** Of settings that the schema has accepted. */
export const readDatabases = ({ databases }: JsonObject): readonly Database[] =>
  ((databases ?? []) as unknown as Static<typeof databasesSchema>).map(
    ({ name, mount = 'database', ...at }): Database => ({
      ...readSettings(at as unknown as JsonObject),
      name,
      mount: trimSlashes(mount),
    }),
  )
