// Asks the provider right by right what the connection may do, and tells also what it may do beyond the least.

import type { Actor } from '#domain/actor.ts'
import type { Connection } from '#domain/connection.ts'
import type { Receipt } from '#domain/audit.ts'
import type { Clock, Ledger, Sessions } from '#domain/ports.ts'
import type { Check } from '#domain/provider.ts'
import { asCheck } from './provider-failures.ts'
import { addressOf } from './registration.ts'
import { mustSee } from './rights.ts'

export interface CheckConnectionDeps {
  readonly ledger: Ledger
  readonly sessions: Pick<Sessions, 'open'>
  readonly clock: Clock
}

const deadlineMs = 20_000

export const checkConnection =
  (deps: CheckConnectionDeps) =>
  async (
    actor: Actor,
    name: string,
  ): Promise<{
    readonly ok: boolean
    readonly items: readonly Check[]
    readonly receipt: Receipt
  }> => {
    const found = await deps.ledger.read((db) => db.connections.get(name))
    const connection = mustSee(actor, found && { ...found, connection: name }, 'connection', name)
    const items = [...(await ask(deps, connection)), ...insecure(connection)]
    const ok = items.every((item) => item.outcome !== 'missing')
    const receipt = await deps.ledger.note(actor, {
      action: 'connection.checked',
      target: { id: name, name },
      outcome: ok ? 'succeeded' : 'failed',
      after: {
        missing: items.filter((item) => item.outcome === 'missing').map((item) => item.name),
      },
    })
    return { ok, items, receipt }
  }

/** A failure is an answer here: that the connection cannot be used is what was asked. */
const ask = async (
  deps: CheckConnectionDeps,
  connection: Connection,
): Promise<readonly Check[]> => {
  try {
    const session = await deps.sessions.open(connection)
    const objects = await managedObjects(deps, connection)
    return await session.check({ signal: deps.clock.deadline(deadlineMs) }, objects)
  } catch (error) {
    return [asCheck(error)]
  }
}

/** The rights on the objects that are managed through it, of which a few hundred would only repeat what the first say. */
const managedObjects = async ({ ledger }: CheckConnectionDeps, { name }: Connection) => {
  const keys = await ledger.read((db) =>
    db.keys.list({ connection: name }, { limit: 50, after: null }),
  )
  return keys.items.map(addressOf)
}

const insecure = (connection: Connection): readonly Check[] =>
  connection.settings['insecure'] === true
    ? [
        {
          name: 'transport',
          outcome: 'beyondLeast',
          detail: 'the connection may use plain http, which anybody on the way can read and change',
          hint: 'use https and remove `insecure`',
        },
      ]
    : []
