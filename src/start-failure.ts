// What keeps a command from the database, the disk or its port, in words that say where and how to mend it. Prisma and
// Node say it in theirs.

import type { ExitName } from '#cli/exit-codes.ts'
import { databaseTrouble } from '#store/database-trouble.ts'

export interface StartFailure {
  readonly code: string
  readonly exit: ExitName
  readonly detail: string
  readonly hint: string
}

/** Null for what is none of these. */
export const startFailure = (error: unknown): StartFailure | null => {
  const trouble = databaseTrouble(error)
  if (trouble !== null) {
    const { why, detail } = trouble
    const away = why === 'away'
    return {
      code: away ? 'database.unreachable' : `database.${why}`,
      exit: away ? 'unreachable' : 'failed',
      detail,
      hint: databaseHints[why],
    }
  }
  const { code, path, address, port } = systemFields(error)
  const at = address === null ? '' : `${address}:${port ?? ''}`
  if (at !== '' && code in binding)
    return {
      code: 'start.failed',
      exit: 'failed',
      detail: `${at}: ${binding[code] ?? code}`,
      hint: 'set REKEY_PORT or REKEY_HOST to another one (REKEY_PORT=0 takes any free port), or stop what is there',
    }
  if (path !== null && code in disk)
    return {
      code: 'start.failed',
      exit: 'failed',
      detail: `${path}: ${disk[code] ?? code}`,
      hint: 'REKEY_DATA_DIR must be a directory that the user of this process may write to',
    }
  return null
}

const databaseHints = {
  away: 'is the server running there, and are REKEY_DATABASE_URL and REKEY_MIGRATION_DATABASE_URL right?',
  refused:
    'are user, password and database in the connection string right? They are in the file that REKEY_DATABASE_URL_FILE names, or in REKEY_DATABASE_URL',
  full: 'make room on the disk of the database; nothing is lost meanwhile',
  crowded: 'raise max_connections of the server, or run fewer processes of Rekey',
} as const

const binding: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EADDRNOTAVAIL: 'this machine does not have that address',
  EACCES: 'this user may not listen there',
}

const disk: Readonly<Record<string, string>> = {
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of this user is used up',
  EEXIST: 'it is there, and is no directory',
  ENOTDIR: 'a part of the path is no directory',
}

/** Of an error of Node's. */
const systemFields = (error: unknown) => {
  const fields: {
    readonly code?: unknown
    readonly path?: unknown
    readonly address?: unknown
    readonly port?: unknown
  } = typeof error === 'object' && error !== null ? error : {}
  return {
    code: typeof fields.code === 'string' ? fields.code : '',
    path: typeof fields.path === 'string' ? fields.path : null,
    address: typeof fields.address === 'string' ? fields.address : null,
    port: typeof fields.port === 'number' ? fields.port : null,
  }
}
