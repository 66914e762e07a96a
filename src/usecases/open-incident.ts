// An incident begins: what it means and what is to be done. Nothing is touched. A pasted secret is known by its digest alone, which
// becomes the versions that have that value, here, and is then forgotten.

import { type Actor, inScope } from '#domain/actor.ts'
import { RekeyError } from '#domain/errors.ts'
import { type AskedSelector, withinScope } from '#domain/incident-schema.ts'
import type { Incident, IncidentMode, IncidentSelector, Severity } from '#domain/incident.ts'
import type { Committed, Ids, Ledger, Tx } from '#domain/ports.ts'
import { parseTimestamp } from '#domain/timestamp.ts'
import { scopedPolicy } from './policy-rights.ts'
import { seenConsumer } from './preview-incident.ts'
import { incidentEvent } from './incident-events.ts'
import { takePlaybook } from './take-playbook.ts'

export interface OpenIncident {
  readonly title: string
  readonly severity: Severity
  readonly mode: IncidentMode
  readonly reason: string
  readonly selector: AskedSelector
  readonly commander?: string
  /** The name of the playbook that it is worked on by. */
  readonly playbook?: string
}

export const openIncident =
  ({ ledger, ids }: { readonly ledger: Ledger; readonly ids: Ids }) =>
  (actor: Actor, asked: OpenIncident): Promise<Committed<Incident>> =>
    ledger.commit(actor, async (tx) => {
      const selector = withinScope(await keptSelector(tx, actor, asked.selector), actor.scope)
      if (selector === null) throw nothing('Nothing of it lies in the scope of the token.')
      const now = await tx.now()
      const incident: Incident = {
        id: ids.next(),
        title: asked.title,
        severity: asked.severity,
        mode: asked.mode,
        reason: asked.reason,
        selector,
        state: 'draft',
        revision: 1,
        openedBy: { id: actor.id, name: actor.name },
        commander: asked.commander ?? null,
        breakGlass: actor.type === 'breakGlass' ? actor.id : null,
        playbook:
          asked.playbook === undefined
            ? null
            : await takePlaybook(tx, actor, asked.playbook, '/playbook'),
        preview: null,
        execution: null,
        settledAt: null,
        closed: null,
        review: null,
        createdAt: now,
        updatedAt: now,
      }
      await tx.writeIncident.insert(incident)
      const { severity, mode } = incident
      const digests = asked.selector.digests?.length ?? 0
      return {
        value: incident,
        audit: [
          incidentEvent(
            'incident.opened',
            incident,
            {
              severity,
              mode,
              selector: toldSelector(selector),
              ...(digests > 0 ? { digests } : {}),
              ...(incident.playbook === null ? {} : { playbook: incident.playbook.name }),
            },
            incident.reason,
          ),
        ],
      }
    })

const nothing = (detail: string, pointer = '/selector'): RekeyError =>
  new RekeyError('incident.empty', { detail, errors: [{ pointer, detail: 'means nothing' }] })

/** Long lists are told by their length. */
const toldSelector = ({ keys, versions, ...rest }: IncidentSelector) => {
  const told = (list: readonly unknown[]) => (list.length > 20 ? `${list.length} of them` : list)
  return JSON.parse(
    JSON.stringify({
      ...rest,
      ...(keys === undefined ? {} : { keys: told(keys) }),
      ...(versions === undefined ? {} : { versions: told(versions) }),
    }),
  )
}

const keptSelector = async (
  tx: Tx,
  actor: Actor,
  { digests, ...asked }: AskedSelector,
): Promise<IncidentSelector> => {
  mustNarrow({ ...asked, ...(digests ? { digests } : {}) })
  mustBeMoments(asked)
  await mustBeThere(tx, actor, asked)
  if (digests === undefined) return asked
  const versions = await versionsOf(tx, actor, digests)
  const both = asked.versions?.filter((one) =>
    versions.some(({ key, version }) => key === one.key && version === one.version),
  )
  const kept = both ?? versions
  if (kept.length === 0)
    throw nothing(
      'No version that can be seen with this token has that value.',
      '/selector/digests',
    )
  return { ...asked, versions: kept }
}

/** What is done with pairs says of no key that it is meant. */
const mustNarrow = ({ pairs: _pairs, ...fields }: AskedSelector): void => {
  if (Object.keys(fields).length > 0) return
  throw new RekeyError('request.invalid', {
    detail: 'The selector says of no key that it is meant.',
    hint: 'Beside `pairs` say keys, labels, a connection, a consumer or versions.',
    errors: [{ pointer: '/selector', detail: 'means no key' }],
  })
}

const mustBeMoments = ({ createdAfter, createdBefore }: IncidentSelector): void => {
  for (const [name, text] of Object.entries({ createdAfter, createdBefore }))
    if (text !== undefined && parseTimestamp(text) === null)
      throw new RekeyError('request.invalid', {
        detail: `There is no such moment in ${name}.`,
        errors: [{ pointer: `/selector/${name}`, detail: 'no such moment' }],
      })
}

/** A name that is mistyped would mean less than was meant, at a time when nobody counts. */
const mustBeThere = async (tx: Tx, actor: Actor, selector: IncidentSelector): Promise<void> => {
  const wanted = [
    ...(selector.keys ?? []).map((name, i) => ({ name, pointer: `/selector/keys/${i}` })),
    ...(selector.versions ?? []).map(({ key }, i) => ({
      name: key,
      pointer: `/selector/versions/${i}/key`,
    })),
  ]
  const names = [...new Set(wanted.map(({ name }) => name))]
  const found =
    names.length === 0 ? [] : await tx.keys.chosen({ names, scope: actor.scope }, names.length)
  const there = new Set(found.map(({ name }) => name))
  const absent = wanted.filter(({ name }) => !there.has(name))
  const { connections = [], policy, consumer } = selector
  for (const [i, name] of connections.entries()) {
    const connection = await tx.connections.get(name) // oxlint-disable-line no-await-in-loop -- one connection
    if (!connection || !inScope(actor, { labels: connection.labels, connection: name }))
      absent.push({ name, pointer: `/selector/connections/${i}` })
  }
  if (policy !== undefined && !(await rules(tx, actor, policy)))
    absent.push({ name: policy, pointer: '/selector/policy' })
  if (consumer !== undefined && !(await isKnown(tx, actor, consumer)))
    absent.push({ name: consumer, pointer: '/selector/consumer' })
  if (absent.length === 0) return
  throw new RekeyError('request.impossible', {
    detail: `There is no ${absent
      .slice(0, 5)
      .map(({ name }) => `"${name}"`)
      .join(
        ', ',
      )}${absent.length > 5 ? ` and ${absent.length - 5} more` : ''} that can be seen with this token.`,
    errors: absent.slice(0, 100).map(({ pointer }) => ({ pointer, detail: 'does not exist' })),
  })
}

/** It can be seen, or rules a key that can. */
const rules = async (tx: Tx, actor: Actor, policy: string): Promise<boolean> => {
  const found = await tx.policies.get(policy)
  return (
    found !== null &&
    (inScope(actor, scopedPolicy(found)) ||
      (await tx.keys.chosen({ policy, scope: actor.scope }, 1)).length > 0)
  )
}

/** Described where it can be seen, or only named on keys that can. */
const isKnown = async (tx: Tx, actor: Actor, consumer: string): Promise<boolean> =>
  (await seenConsumer(tx, actor, consumer)) !== null ||
  (await tx.keys.chosen({ usedBy: { consumer, keys: [], policies: [] }, scope: actor.scope }, 1))
    .length > 0

const versionsOf = async (
  tx: Tx,
  actor: Actor,
  digests: readonly string[],
): Promise<NonNullable<IncidentSelector['versions']>> => {
  const found: { readonly key: string; readonly version: number }[] = []
  for (const digest of digests) {
    // oxlint-disable-next-line no-await-in-loop -- one connection
    const versions = await tx.versions.holdingDigest(Buffer.from(digest, 'hex'))
    const keys = await tx.keys.byIds(versions.map(({ keyId }) => keyId)) // oxlint-disable-line no-await-in-loop -- one connection
    for (const { keyId, version } of versions) {
      const key = keys.find(({ id }) => id === keyId)
      if (key && key.deletedAt === null && inScope(actor, key))
        found.push({ key: key.name, version })
    }
  }
  const byName = new Map(found.map((one) => [`${one.key}/${one.version}`, one]))
  return [...byName.values()]
}
