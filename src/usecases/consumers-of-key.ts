// Who uses a key: the consumers named on it, those that name it, and those whose labels the key's policy asks for.

import type { Consumer } from '#domain/connection.ts'
import type { Key } from '#domain/key.ts'
import { matchesLabels } from '#domain/names.ts'
import { type ResolvedPolicy, resolveStored } from '#domain/policy.ts'
import type { Reads } from '#domain/ports.ts'

export const isConsumerOf = (
  consumer: Pick<Consumer, 'name' | 'labels' | 'keys'>,
  key: Pick<Key, 'name' | 'consumers'>,
  policy: Pick<ResolvedPolicy, 'consumers'> | null,
): boolean => {
  const wanted = policy?.consumers.matchLabels ?? null
  return (
    key.consumers.includes(consumer.name) ||
    consumer.keys.includes(key.name) ||
    (wanted !== null && matchesLabels(wanted, consumer.labels))
  )
}

/** Names, sorted; those named on the key count even before somebody describes them. */
export const consumersOfKey = async (db: Reads, key: Key): Promise<readonly string[]> => {
  const policy = key.policy === null ? null : await db.policies.get(key.policy)
  const resolved = policy && resolveStored(policy)
  const found = (await db.consumers.all()).filter((consumer) =>
    isConsumerOf(consumer, key, resolved),
  )
  return [...new Set([...key.consumers, ...found.map((consumer) => consumer.name)])].toSorted()
}
