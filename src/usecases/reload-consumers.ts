// Consumers that gave a reload webhook are told that there is a new version to fetch, right after it is handed out: before
// that they would only read the old one again. They get names and numbers, never a value.
//
// Each telling has its intent and its outcome like every other effect. It is at least once: a crash after sending sends it
// again under the same message id (a webhook cannot be probed). One that cannot be reached is recorded and holds nothing:
// the acknowledgement, where the policy asks for one, is what the rotation waits for. Whoever has reloaded before it answers
// says so in its answer, and needs no token for it. One that is under way when the rotation is rolled back is not sent
// again: what it would tell is no longer so.

import type { Consumer } from '#domain/connection.ts'
import { resolveStored } from '#domain/policy.ts'
import type { SinkAnswer } from '#domain/ports.ts'
import type { Rotation } from '#domain/rotation.ts'
import { isConsumerOf } from './consumers-of-key.ts'
import { recordAcknowledgement } from './record-acknowledgement.ts'
import type { Run, Step } from './rotation-engine.ts'
import { intentsOf } from './rotation-scene.ts'
import { type EffectSpec, runEffect } from './run-effect.ts'

/** Pauses between the tries of one telling. */
const pausesMs = [500, 2_000] as const

/** The next telling that is due, as a step; null when all were told. */
export const reloadConsumers = async (run: Run, rotation: Rotation): Promise<Step | null> => {
  if (rotation.promotedAt === null || run.seen?.reloads === false) return null
  const intents = await intentsOf(run, rotation)
  const told = new Set(
    intents
      .filter(({ effect, outcome }) => effect === 'notify' && outcome === 'succeeded')
      .map(({ target }) => target),
  )
  const next = (await reloadable(run, rotation)).find(({ name }) => !told.has(name))
  return next ? runEffect(run, rotation, tellConsumer(run, rotation, next.name)) : null
}

const reloadable = (run: Run, rotation: Rotation): Promise<readonly Consumer[]> =>
  run.ledger.read(async (db) => {
    const consumers = (await db.consumers.all()).filter(({ reload }) => reload !== null)
    if (consumers.length === 0) return []
    const key = await db.keys.byId(rotation.keyId)
    const policy = rotation.policy === null ? null : await db.policies.get(rotation.policy)
    const resolved = policy && resolveStored(policy)
    return consumers.filter((consumer) => key !== null && isConsumerOf(consumer, key, resolved))
  })

export const tellConsumer = (run: Run, rotation: Rotation, name: string): EffectSpec => ({
  effect: 'notify',
  target: name,
  object: { id: name, name },
  lateEffectMs: 'anytime',
  consistency: { delayMs: 0, confirmations: 1 },
  begin: async () => ({ preImage: { version: rotation.toVersion } }),
  send: async (intent) => {
    const { reload, secret } = await run.ledger.read(async (db) => {
      const consumer = await db.consumers.get(name)
      const found = consumer?.reload ?? null
      return { reload: found, secret: found && (await db.sealed.open(found.sealedId)) }
    })
    if (!reload || !secret) return { result: { delivered: false, detail: 'the webhook is gone' } }
    const message = {
      // Of the telling, not of the try: receivers drop what they have seen.
      id: `${rotation.id}:reload:${name}`,
      type: 'rekey.reload',
      timestamp: intent.startedAt.toISOString(),
      data: {
        key: rotation.keyName,
        version: rotation.toVersion,
        rotation: rotation.id,
        consumer: name,
      },
    }
    let answer: SinkAnswer = await run.world.send({ url: reload.webhook }, secret, message)
    for (const ms of pausesMs) {
      if (isTaken(answer)) break
      // oxlint-disable-next-line no-await-in-loop -- tries of one telling
      await run.clock.pause(ms)
      // oxlint-disable-next-line no-await-in-loop -- see above
      answer = await run.world.send({ url: reload.webhook }, secret, message)
    }
    const status = answer.kind === 'answered' ? answer.status : null
    const acknowledged = isTaken(answer) && acknowledges(answer, rotation.toVersion)
    return { result: { delivered: isTaken(answer), status, acknowledged } }
  },
  probe: async () => ({ answer: 'absent' }),
  // With the outcome or not at all: who dies before it tells the consumer again, and hears it again.
  done: async (tx, at, { result }) => {
    const { toVersion: version } = at
    if (result['acknowledged'] !== true || version === null) return {}
    const { event } = await recordAcknowledgement(tx, at, {
      consumer: name,
      version,
      evidence: 'said in answer to the reload webhook',
      principalId: run.actor.id,
    })
    return { events: [event] }
  },
})

/** `{"acknowledged": 7}`: the number of the new version, so that an answer to anything else says nothing. */
const acknowledges = (answer: SinkAnswer, version: number | null): boolean => {
  if (answer.kind !== 'answered' || version === null) return false
  try {
    const said: unknown = JSON.parse(answer.text)
    return (
      typeof said === 'object' &&
      said !== null &&
      'acknowledged' in said &&
      said.acknowledged === version
    )
  } catch {
    return false
  }
}

const isTaken = (answer: SinkAnswer): boolean =>
  answer.kind === 'answered' && answer.status >= 200 && answer.status < 300
