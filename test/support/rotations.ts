// What is asserted of a rotation from outside, over the API alone.

import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import type { RekeyProcess, Reply } from './rekey-process.ts'

/** Resolves when the rotation has ended, with what it then is. */
export const ended = async (
  rekey: RekeyProcess,
  id: string,
  atMostMs: number,
): Promise<Reply['json']> => {
  for (const end = Date.now() + atMostMs; ; await pause(300)) {
    const rotation = await rekey.ask('GET', `/v1/rotations/${id}`)
    if (rotation.endedAt !== null) return rotation
    if (rotation.phase === 'stalled' || Date.now() > end)
      throw new Error(`${rotation.key} is ${JSON.stringify(rotation, null, 1)}\n${rekey.output()}`)
  }
}

/** Every intent in the log has exactly one final outcome that names it, and that one is the last. */
export const expectOneOutcomeEach = async (rekey: RekeyProcess, id: string): Promise<void> => {
  const events = (await rekey.list(`/v1/audit/events?rotation=${id}`)).toReversed()
  const intents = events.filter(({ outcome }) => outcome === 'intent')
  expect(intents.length, 'intents in the log').toBeGreaterThan(0)
  for (const intent of intents) {
    const outcomes = events
      .filter(({ causationId }) => causationId === intent.id)
      .map(({ outcome }) => outcome)
    const final = outcomes.filter((outcome) => outcome !== 'unknown')
    expect(final, `${intent.action} ${JSON.stringify(outcomes)}`).toHaveLength(1)
    expect(outcomes.at(-1)).toBe(final[0])
  }
}

/** Version by version, as the API shows them: `1 destroyed`, `2 active primary`. */
export const versionsOf = async (rekey: RekeyProcess, key: string): Promise<readonly string[]> =>
  (await rekey.list(`/v1/keys/${key}/versions`)).map(
    ({ version, state, primary }) => `${version} ${state}${primary ? ' primary' : ''}`,
  )
