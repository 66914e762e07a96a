// A user is switched off, on again, or left with a verifier that no password opens. Each is what it is however often it is done.
//
// Off takes two steps: NOLOGIN, so that nobody comes in, then the sessions that are in are ended. A crash between the two
// leaves sessions: `stateOf` says that the user is on as long as there are any, and whoever comes next ends them. Destroying
// does both first, and takes the verifier last: until then the version can be told by its salt.

import { ProviderError, type Call, type ObjectAddress } from '#domain/provider.ts'
import type { JsonObject } from '#domain/json.ts'
import { changeUser } from './guarded-change.ts'
import type { PairAt } from './read-pair.ts'
import { readHalves, stateOf, type Half } from './roles.ts'
import { emptyVerifier } from './verifier.ts'
import { emptyTag, markOf, userOf, usersOf } from './versions.ts'
import { mustHaveTime } from './wire.ts'

export interface Switch {
  readonly version: string
  readonly to: 'disabled' | 'enabled' | 'destroyed'
}

export const switchUser = async (
  at: PairAt,
  object: ObjectAddress,
  { version, to }: Switch,
  call: Call,
): Promise<JsonObject> => {
  mustHaveTime(call)
  const users = usersOf(object.ref)
  const user = userOf(users, version)
  const [half] = user === null ? [] : await readHalves(at, [user], call)
  // Its password was written over, by us or by others: that version opens nothing any more.
  if (half === undefined || half.version !== version) {
    if (half !== undefined && to === 'destroyed') return { user: half.name, already: true }
    throw new ProviderError('notFound', 'none', `no user of the pair has the version ${version}`)
  }
  const facts = { user: half.name, from: stateOf(half), to }
  if (to === 'enabled') {
    if (half.expired)
      throw new ProviderError('precondition', 'none', `the time of ${half.name} is over`, {
        hint: `ALTER ROLE … VALID UNTIL 'infinity'`,
      })
    if (!half.login) await set(at, half, 'LOGIN', null, call)
    return facts
  }
  if (half.login) await set(at, half, 'NOLOGIN', null, call)
  const ended = await endSessions(at, half.name, call)
  if (to === 'destroyed') {
    const mark = markOf(emptyTag, users, at.ports.now())
    const verifier = emptyVerifier(at.ports.random)
    await set(at, half, `NOLOGIN PASSWORD '${verifier}'`, mark, call)
  }
  return { ...facts, sessionsEnded: ended }
}

const set = (
  at: PairAt,
  { name, mark: seen }: Half,
  to: string,
  mark: string | null,
  call: Call,
): Promise<void> => changeUser(at.wire, { user: name, to, seen, mark }, call)

const endSql = `
  SELECT count(*)::int AS left, count(*) FILTER (WHERE pg_terminate_backend(pid))::int AS told,
    pg_sleep(CASE WHEN count(*) > 0 THEN 0.05 ELSE 0 END)::text AS slept
  FROM pg_stat_activity WHERE usesysid = (SELECT oid FROM pg_roles WHERE rolname = $1)`

/** Until there is none: a login that was under way when NOLOGIN was said may show a moment later. How many were ended. */
const endSessions = async (at: PairAt, user: string, call: Call): Promise<number> => {
  let ended = 0
  try {
    for (let looks = 0; looks < mostLooks; looks++) {
      // oxlint-disable-next-line no-await-in-loop -- the next look after the one before
      const [row] = await at.wire.read<{ left: number; told: number }>(endSql, [user], call)
      if (!row || row.left === 0) return ended
      ended = Math.max(ended, row.told)
    }
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error
    // Nobody can log in any more; those who are in stay until somebody ends them.
    throw new ProviderError(
      error.kind,
      'partial',
      `${user} may not log in; its sessions were not ended: ${error.message}`,
      {
        ...(error.kind === 'forbidden'
          ? { hint: `Rekey’s user needs pg_signal_backend, or to inherit from ${user}` }
          : {}),
      },
    )
  }
  throw new ProviderError('transient', 'partial', `${user} may not log in; it still has sessions`)
}
const mostLooks = 100
