// What an incident of mode `disable` switched off, or some keys of it, is to be switched on again. Nothing is sent here: the keys
// are due, whoever is at one of them writes nothing more, and a worker restores them (restore-contained.ts).

import type { Actor } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import type { Incident, IncidentKey } from '#domain/incident.ts'
import type { Committed, HashJson, Ledger, Reads, Tx } from '#domain/ports.ts'
import { mustBeWhereShown } from './as-shown.ts'
import { incidentEvent, lockIncident, mustBeIn, rewrite } from './incident-events.ts'
import { mustWriteProviders } from './recovery-mode.ts'
import { namedTo } from './see-incident.ts'
import { everything } from './rights.ts'

export interface RestoreDeps {
  readonly ledger: Ledger
  readonly hashJson: HashJson
  readonly visible: (db: Reads, actor: Actor, id: string) => Promise<Incident>
}

export interface RestoreOrder {
  /** Names; null: all of them. */
  readonly keys: readonly string[] | null
  readonly reason: string
}

const pageSize = 1_000

export const makeRestoreIncident =
  ({ ledger, hashJson, visible }: RestoreDeps) =>
  (actor: Actor, id: string, { keys, reason }: RestoreOrder): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      await lockIncident(tx, id)
      const incident = await visible(tx, actor, id)
      if (incident.mode !== 'disable') {
        throw new RekeyError('incident.wrongMode', {
          detail: `What the mode ${incident.mode} has ended is compromised for ever.`,
          hint: 'Only what was disabled is restored.',
        })
      }
      mustBeIn(incident, ['executing', 'contained', 'partly'], 'restored')
      await mustWriteProviders(tx)
      const names = keys && new Set(keys)
      const found = await restorable(tx, id, names)
      const known = new Set(found.map(({ key }) => key))
      const missing = keys?.find((name) => !known.has(name))
      if (missing !== undefined || found.length === 0) {
        throw new RekeyError('incident.wrongState', {
          detail:
            missing === undefined
              ? 'Nothing of it is left to be restored.'
              : `${missing} is not in it, not switched off yet, or restored already.`,
          ...(missing === undefined
            ? {}
            : { errors: [{ pointer: '/keys', detail: 'not to be restored' }] }),
        })
      }
      // Whoever executes one of them waits, or was before us and is seen.
      await mustBeWhereShown(
        tx,
        actor,
        found.map(({ plan }) => plan),
        hashJson,
      )
      await mustBeOurs(tx, actor, id, found)
      const now = await tx.now()
      await tx.writeIncident.putKeys(
        found.map((key) => ({ ...key, restoration: 'asked', detail: null, updatedAt: now })),
      )
      await tx.writeIncident.seize(
        id,
        found.map(({ keyId }) => keyId),
      )
      const next = await rewrite(tx, incident, { state: 'executing' })
      const told = { keys: found.length, names: keys ?? null }
      return { value: next, audit: [incidentEvent('incident.restoring', next, told, reason)] }
    })

/** What another incident has contained too is off for its sake: nobody switches it on behind its back. */
const mustBeOurs = async (
  tx: Tx,
  actor: Actor,
  id: string,
  found: readonly IncidentKey[],
): Promise<void> => {
  const keyIds = found.map(({ keyId }) => keyId)
  const other = (await tx.incidents.openOfKeys(keyIds)).find(
    ({ incidentId, restoration }) => incidentId !== id && restoration !== 'done',
  )
  if (!other) return
  const { text, incident } = await namedTo(tx, actor, other.incidentId)
  throw new RekeyError('incident.wrongState', {
    detail: `${other.key} is contained by ${text} as well.`,
    hint: 'Once that one is restored or closed this one can be; or name the keys that are to be restored.',
    extra: { key: other.key, incident },
  })
}

const atRest: ReadonlySet<string> = new Set(['refused', 'refusedAfter', 'unproven', 'failed'])

const restorable = async (
  tx: Tx,
  id: string,
  names: ReadonlySet<string> | null,
): Promise<readonly IncidentKey[]> => {
  const all = await everything((after) => tx.incidents.keys(id, null, { limit: pageSize, after }))
  return all.filter(
    ({ key, state, restoration }) =>
      atRest.has(state) && restoration !== 'asked' && (names === null || names.has(key)),
  )
}
