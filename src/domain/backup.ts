// What a backup is: one snapshot of the tables as PostgreSQL's COPY writes them (text form), cut into parts, and a manifest.
// The queue is not in it (a doorbell that is rung again), nor is any key: sealed rows stay sealed under a key-encryption key
// that the manifest names by its fingerprint.

import { Type, type Static } from 'typebox'
import { Check } from 'typebox/value'
import type { PepperName } from './pepper.ts'
import { timestampSchema } from './timestamp.ts'

const strict = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })
const count = Type.Integer({ minimum: 0 })
const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' })
const orNull = <T extends Parameters<typeof Type.Array>[0]>(schema: T) =>
  Type.Union([schema, Type.Null()])
const table = Type.String({ pattern: '^(app|audit|vault)\\.[a-z_]+$' })

const manifestSchema = strict({
  format: Type.Literal('rekey-backup-v1'),
  /** Of Rekey, and of the server that it was taken from. */
  version: Type.String(),
  postgres: Type.String(),
  createdAt: timestampSchema,
  migrations: Type.Array(strict({ name: Type.String(), checksum: sha256 }), { minItems: 1 }),
  installation: orNull(
    strict({ id: Type.String(), incarnation: Type.String(), cluster: Type.String() }),
  ),
  /** Fingerprints of the key-encryption keys that rows are sealed under and of the active one, and of the fingerprint pepper. */
  keks: Type.Array(Type.String()),
  pepper: orNull(Type.String()),
  /** All peppers that are in use; backups of before there were several name the one. */
  peppers: Type.Optional(Type.Array(strict({ number: Type.Integer(), id: Type.String() }))),
  /** The last event of the log. */
  highWater: orNull(strict({ id: Type.String(), leafHash: sha256, at: Type.String() })),
  /** All events: their number, and the exclusive or of their leaf hashes. */
  log: strict({ events: count, digest: sha256 }),
  months: Type.Array(Type.String({ pattern: '^\\d{4}-(0[1-9]|1[0-2])$' })),
  /** In the order in which they can be filled: what is referred to comes first. */
  tables: Type.Array(
    strict({
      name: table,
      columns: Type.Array(Type.String({ pattern: '^[a-z_]+$' }), { minItems: 1 }),
      rows: count,
      parts: Type.Array(strict({ name: Type.String(), bytes: count, sha256 })),
    }),
  ),
  sequences: Type.Array(strict({ name: table, last: Type.String(), called: Type.Boolean() })),
})
export type Manifest = Static<typeof manifestSchema>

export const manifestName = 'manifest.json'

/** Null where it is none, or of a form that this version does not know. */
export const readManifest = (text: string): Manifest | null => {
  try {
    const value: unknown = JSON.parse(text)
    return Check(manifestSchema, value) ? value : null
  } catch {
    return null
  }
}

/** Peppers that its fingerprints were made with, and that are not among these. */
export const missingPeppers = (
  { pepper, peppers = [] }: Pick<Manifest, 'pepper' | 'peppers'>,
  here: readonly PepperName[],
): readonly PepperName[] => {
  const begun = pepper === null ? [] : [{ number: 1, id: pepper }]
  return (peppers.length > 0 ? peppers : begun).filter(
    ({ number, id }) => !here.some((one) => one.number === number && one.id === id),
  )
}

/** Where a backup is written to. Nothing is under its name before `commit`. */
export interface BackupSink {
  put(name: string, bytes: Uint8Array): Promise<void>
  commit(): Promise<void>
  /** Removes what was written. */
  discard(): Promise<void>
}

/** Where it is read from: parts in the order in which they were written, as often as asked. */
export interface BackupSource {
  parts(): AsyncIterable<{ readonly name: string; readonly bytes: Uint8Array }>
}

/** No part is larger, so that one always fits into memory. */
export const mostPartBytes = 4 * 1024 * 1024

export type RefusedBackup =
  | 'target' // there is something under the name already, or it cannot be written
  | 'damaged' // it is not what its manifest says
  | 'notBackup' // there is no backup there, or it is not complete
  | 'newer' // it was taken from a newer schema
  | 'older' // the schema is from before there were backups
  | 'notEmpty' // the database holds something
  | 'keys' // the keys that it was sealed under are not here

/** With what to do, for people. */
export class BackupRefused extends Error {
  readonly why: RefusedBackup
  readonly hint: string

  constructor(why: RefusedBackup, detail: string, hint: string) {
    super(detail)
    this.name = 'BackupRefused'
    this.why = why
    this.hint = hint
  }
}
