// The one form in which a user is changed: a single message with a single statement, that changes it, compares its mark with the
// one that was seen, and writes the new mark; or does none of it.
//
// The order inside counts. ALTER ROLE takes the row of the user, or waits for whoever has it; the mark is read after that, by
// a snapshot of its own. So of two that change one user at a moment the second finds the mark of the first, and takes its
// change back. A message that arrives late, after its sender gave up and somebody went on, meets the same.
//
// Nothing is left half done by a crash: the server runs the message to its end or not at all, whether its sender lives or not.

import pg from 'pg'
import type { Call } from '#domain/provider.ts'
import { changedMeanwhile } from './failures.ts'
import { markPattern } from './versions.ts'
import type { Wire } from './wire.ts'

export interface Change {
  readonly user: string
  /** What ALTER ROLE sets. */
  readonly to: string
  /** The mark that the user had when it was looked at. */
  readonly seen: string | null
  /** Null: it stays. */
  readonly mark: string | null
}

const literal = pg.escapeLiteral

export const changeUser = (wire: Wire, change: Change, call: Call): Promise<void> =>
  wire.change(`DO ${literal(bodyOf(change))}`, call)

const bodyOf = ({ user, to, seen, mark }: Change): string => `
DECLARE said text;
BEGIN
  ALTER ROLE ${pg.escapeIdentifier(user)} WITH ${to};
  SELECT coalesce(shobj_description(oid, 'pg_authid'), '') INTO said
    FROM pg_roles WHERE rolname = ${literal(user)};
  IF substring(said FROM ${literal(markPattern)}) IS DISTINCT FROM ${seen === null ? 'NULL' : literal(seen)} THEN
    RAISE EXCEPTION 'changed meanwhile' USING ERRCODE = '${changedMeanwhile}';
  END IF;
  ${mark === null ? '' : markWith(literal(user), mark)}
END`

const markWith = (
  user: string,
  mark: string,
): string => `EXECUTE format('COMMENT ON ROLE %I IS %L', ${user},
    btrim(regexp_replace(said, ${literal(markPattern)}, '', 'g') || ' ' || ${literal(mark)}));`

export interface Creation {
  readonly users: readonly [string, string]
  /** Of the first one. */
  readonly verifier: string
  readonly mark: string
}

/** Both users or none: the first can log in, the second has no password yet. Rekey's user may end their sessions then; ADMIN on
 *  them it has as their maker. */
export const createUsers = (
  wire: Wire,
  { users, verifier, mark }: Creation,
  serverVersion: number,
  call: Call,
): Promise<void> => {
  const [first, second] = users.map(pg.escapeIdentifier)
  const options = serverVersion < 160_000 ? 'ADMIN OPTION' : 'INHERIT TRUE, SET FALSE'
  const body = `
BEGIN
  CREATE ROLE ${first} LOGIN PASSWORD ${literal(verifier)};
  CREATE ROLE ${second} NOLOGIN;
  COMMENT ON ROLE ${first} IS ${literal(mark)};
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    GRANT ${first}, ${second} TO CURRENT_USER WITH ${options};
  END IF;
END`
  return wire.change(`DO ${literal(body)}`, call)
}
