// What a person can mend about the database: it is away, it refuses the login, it has no room, it takes no more sessions.
// Asked of errors of Prisma, and of those of `pg`, which backups and migrations speak through.

import { adapterCause, diskFull, member, sqlState } from './sql-state.ts'

export interface DatabaseTrouble {
  readonly why: 'away' | 'refused' | 'full' | 'crowded'
  readonly detail: string
}

/** Null for what is no such trouble. */
export const databaseTrouble = (e: unknown): DatabaseTrouble | null => {
  const code = member(e, 'code')
  const state = sqlState(e) ?? code
  if (typeof state === 'string') {
    const said = told(e)
    if (state === diskFull) return { why: 'full', detail: 'the disk of the database is full' }
    if (state === '53300')
      return { why: 'crowded', detail: 'the database takes no more connections' }
    // 28: no such user, a wrong password; 3D: no such database.
    if (/^(28|3D)/.test(state) && state.length === 5)
      return { why: 'refused', detail: `the database refuses the login: ${said}` }
    if (/^57P0[123]$/.test(state))
      return { why: 'away', detail: `the database is starting or stopping: ${said}` }
    if (away.has(state)) return { why: 'away', detail: `the database cannot be reached: ${said}` }
  }
  const [, place] = /Can't reach database server at (.*)/.exec(told(e)) ?? []
  return place === undefined
    ? null
    : { why: 'away', detail: `the database at ${place} cannot be reached` }
}

const away = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH'])

/** The server's own sentence, without what Prisma wraps around it. */
const told = (e: unknown): string => {
  const original = member(adapterCause(e), 'originalMessage')
  if (typeof original === 'string' && original !== '') return original
  const message = e instanceof Error ? e.message : ''
  const code = member(e, 'code')
  if (message === '') return typeof code === 'string' ? code : ''
  return /Message: `([^`]*)`/.exec(message)?.[1] ?? message
}
