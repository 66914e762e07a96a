// Consumers: applications that use keys and acknowledge versions. To be a consumer of a key is a right (its value may be
// read) and a duty (its rotation waits), so nobody makes one for keys outside of their own scope: neither by naming a key,
// nor by a label that some policy asks for.

import { type Actor, inScope } from '#domain/actor.ts'
import type { Consumer, ManagedBy } from '#domain/connection.ts'
import type { ConsumerBody } from '#domain/consumer-schema.ts'
import { RekeyError } from '#domain/errors.ts'
import { matchesLabels } from '#domain/names.ts'
import type { Committed, Ledger, LedgerEvent, Tx } from '#domain/ports.ts'
import { checkPrecondition, type Precondition } from '#domain/precondition.ts'
import { Secret } from '#domain/secret.ts'
import { scopedPolicy } from './policy-rights.ts'
import type { EgressRules } from './put-connection.ts'
import { checkLabels, liesWithin, mustSee, mustStayInScope } from './rights.ts'
import { type KeptSecret, keepOrSeal } from './webhook-secret.ts'
import { asJson, mustHold, sameJson, type Written } from './written.ts'

export interface PutConsumerDeps {
  readonly ledger: Ledger
  readonly egress: EgressRules
}

export interface PutConsumer {
  readonly name: string
  readonly body: ConsumerBody
  readonly precondition: Precondition
  /** The owner set of a file apply; where not said, it stays. */
  readonly managedBy?: ManagedBy
}

export const putConsumer =
  ({ ledger, egress }: PutConsumerDeps) =>
  async (actor: Actor, put: PutConsumer): Promise<Committed<Written<Consumer>>> => {
    const write = consumerWrite(egress, actor, put)
    return ledger.commit(actor, async (tx) => {
      const written = await write(tx)
      return { value: written, audit: [consumerPut(written)] }
    })
  }

/** Checks what can be checked without the database, and returns the rest as work. Whoever runs it tells the audit log. */
export const consumerWrite = (
  egress: EgressRules,
  actor: Actor,
  { name, body, precondition, managedBy }: PutConsumer,
): ((tx: Tx) => Promise<Written<Consumer> & { readonly before: Consumer | null }>) => {
  if (body.reload) egress.checkUrl(body.reload.webhook, 'webhook', { insecure: false })
  return async (tx) => {
    await tx.lock(`consumer:${name}`)
    const before = await tx.consumers.get(name)
    if (before) mustSee(actor, before, 'consumer', name)
    checkPrecondition(precondition, before?.revision ?? null)
    const labels = body.labels ?? {}
    const keys = body.keys ?? []
    mustStayInScope(actor, { labels })
    await checkLabels(tx, actor, before?.labels ?? null, labels)
    await mustOwnKeys(tx, actor, before, keys)
    await mustOwnPolicies(tx, actor, before, labels)

    const reload = await reloadOf(tx, name, before, body)
    const now = await tx.now()
    const wanted: Consumer = {
      name,
      owner: body.owner,
      labels,
      keys,
      reload: reload && { webhook: reload.url, sealedId: reload.sealedId },
      managedBy: managedBy === undefined ? (before?.managedBy ?? null) : managedBy,
      revision: (before?.revision ?? 0) + 1,
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    }
    const changed = !before || !sameJson(fieldsOf(before), fieldsOf(wanted))
    if (changed) mustHold(await tx.writeConsumer.put(wanted, before?.revision ?? null))
    const dropped = before?.reload?.sealedId
    if (dropped !== undefined && dropped !== wanted.reload?.sealedId)
      await tx.writeSealed.erase(dropped)
    return { before, resource: changed || !before ? wanted : before, created: !before, changed }
  }
}

export const consumerPut = ({
  before,
  resource,
}: {
  readonly before: Consumer | null
  readonly resource: Consumer
}): LedgerEvent => ({
  action: 'consumer.put',
  target: { id: resource.name, name: resource.name },
  outcome: 'succeeded',
  before: before && asJson(told(before)),
  after: asJson(told(resource)),
})

const reloadOf = (
  tx: Tx,
  name: string,
  before: Consumer | null,
  body: ConsumerBody,
): Promise<KeptSecret | null> => {
  if (!body.reload) return Promise.resolve(null)
  const { webhook, secret } = body.reload
  return keepOrSeal(tx, {
    purpose: `consumer:${name}`,
    before: before?.reload
      ? { url: before.reload.webhook, sealedId: before.reload.sealedId }
      : null,
    url: webhook,
    secret: secret === undefined ? null : new Secret(secret),
    pointer: '/reload/secret',
  })
}

/** Keys that are named anew must lie in the scope; those out of it do not exist for the actor. */
const mustOwnKeys = async (
  tx: Tx,
  actor: Actor,
  before: Consumer | null,
  keys: readonly string[],
): Promise<void> => {
  if (!actor.scope) return
  for (const [i, name] of keys.entries()) {
    if (before?.keys.includes(name)) continue
    const key = await tx.keys.byName(name) // oxlint-disable-line no-await-in-loop -- one connection
    if (key && inScope(actor, key)) continue
    throw new RekeyError('request.impossible', {
      detail: `There is no key "${name}".`,
      errors: [{ pointer: `/keys/${i}`, detail: 'does not exist' }],
    })
  }
}

const mustOwnPolicies = async (
  tx: Tx,
  actor: Actor,
  before: Consumer | null,
  labels: Consumer['labels'],
): Promise<void> => {
  if (!actor.scope) return
  const foreign = (await tx.policies.all()).filter((policy) => {
    const wanted = policy.spec.consumers?.matchLabels
    if (wanted === undefined || !matchesLabels(wanted, labels)) return false
    if (before && matchesLabels(wanted, before.labels)) return false
    return !(inScope(actor, scopedPolicy(policy)) && liesWithin(policy.spec.selector, actor.scope))
  })
  if (foreign.length > 0) {
    throw new RekeyError('auth.denied', {
      detail:
        'With these labels it would become a consumer of keys outside of the scope of the token.',
      errors: [{ pointer: '/labels', detail: 'a policy outside of the scope asks for them' }],
    })
  }
}

const fieldsOf = ({ owner, labels, keys, reload, managedBy }: Consumer) => ({
  owner,
  labels,
  keys,
  reload,
  managedBy,
})

const told = (consumer: Consumer) => ({
  owner: consumer.owner,
  labels: consumer.labels,
  keys: consumer.keys,
  reload: consumer.reload && { webhook: consumer.reload.webhook },
  managedBy: consumer.managedBy,
  revision: consumer.revision,
})
