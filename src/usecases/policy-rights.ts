// Policies are authority (9-security.md 2 to 4): a policy decides when keys rotate and to where their new values go. So its
// selector must lie within its author's scope, and each publish target needs a grant at the target's connection for the
// labels that the selector demands of every key, since those are all that is sure about keys that are yet to come. An admin
// needs it too: the policy publishes for years, and is stopped by taking the grant back (publish-effects.ts).

import type { Actor } from '#domain/actor.ts'
import type { Policy } from '#domain/connection.ts'
import { RekeyError } from '#domain/errors.ts'
import type { PolicySpec } from '#domain/policy-schema.ts'
import type { Reads } from '#domain/ports.ts'
import { checkShape } from './check-shape.ts'
import type { PolicyInput } from './policy-body.ts'
import { targetPlace } from './publish-place.ts'
import { findType, objectIdOf, type Providers } from './registration.ts'
import { liesWithin, mustHaveGrant, mustStayInScope } from './rights.ts'
import { sameJson } from './written.ts'

export const mustBeAllowed = async (
  db: Reads,
  providers: Providers,
  actor: Actor,
  input: Pick<PolicyInput, 'labels' | 'spec' | 'at'>,
  before: Policy | null,
): Promise<void> => {
  const { labels, spec, at } = input
  const { selector } = spec
  mustStayInScope(actor, scopedPolicy({ labels, spec }))
  if (!liesWithin(selector, actor.scope)) {
    throw new RekeyError('auth.denied', {
      detail: 'The selector reaches beyond the scope of the token.',
      hint: 'It must demand the labels, and name a connection, of the scope.',
      errors: [{ pointer: `${at}/selector`, detail: 'wider than the scope of the token' }],
    })
  }
  const sameKeys = before !== null && sameJson(before.spec.selector, selector)
  for (const [i, target] of (spec.publish ?? []).entries()) {
    const known = sameKeys && (before.spec.publish ?? []).some((old) => sameJson(old, target))
    // oxlint-disable-next-line no-await-in-loop -- few targets, one connection
    await mustReachTarget(db, providers, {
      target,
      selector,
      pointer: `${at}/publish/${i}`,
      known,
    })
  }
}

/** What a scope is compared with. */
export const scopedPolicy = ({
  labels,
  spec,
}: {
  readonly labels: Policy['labels']
  readonly spec: PolicySpec
}) => ({
  labels,
  ...(spec.selector.connection === undefined ? {} : { connection: spec.selector.connection }),
})

interface Target {
  readonly target: NonNullable<PolicySpec['publish']>[number]
  readonly selector: PolicySpec['selector']
  readonly pointer: string
  /** It stood there before, for the same keys: whoever wrote it was asked. */
  readonly known: boolean
}

const mustReachTarget = async (
  db: Reads,
  providers: Providers,
  { target, selector, pointer, known }: Target,
): Promise<void> => {
  const connection = await db.connections.get(target.connection ?? '')
  if (!connection) {
    throw new RekeyError('request.impossible', {
      detail: `There is no connection "${target.connection}".`,
      errors: [{ pointer: `${pointer}/connection`, detail: 'does not exist' }],
    })
  }
  const type = findType(providers, connection, target.type)
  if (!type.traits.publishTarget) {
    throw new RekeyError('request.impossible', {
      detail: `A ${target.type} is no place to publish to.`,
      errors: [{ pointer: `${pointer}/type`, detail: 'not a publish target' }],
    })
  }
  checkShape(type.refSchema, target.ref, `${pointer}/ref`)
  if (known) return
  const objectId = objectIdOf(type, targetPlace(connection, target), `${pointer}/ref`)
  mustHaveGrant(connection, selector.matchLabels ?? {}, objectId, `${pointer}/ref`)
  if (await db.keys.byObject(objectId)) {
    throw new RekeyError('key.objectTaken', {
      detail: 'The object is managed by a key: publishing there would write over its versions.',
      errors: [{ pointer: `${pointer}/ref`, detail: 'managed by a key' }],
    })
  }
}
