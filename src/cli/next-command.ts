// What a person does next about a rotation: by what it waits for, or by how it ended. One line a case.

import type { JsonObject } from '#domain/json.ts'
import type { Gate } from '#domain/rotation.ts'
import type { Phase } from '#domain/rotation-machine.ts'
import { span } from './human.ts'
import { textAt, textsAt } from './read-json.ts'

export interface Advice {
  readonly text: string
  readonly commands: readonly string[]
}

export const adviceFor = (rotation: JsonObject, now: Date): Advice => {
  const phase = textAt(rotation, 'phase')
  const byPhase = isKnown(phases, phase) ? (phases[phase]?.(rotation) ?? null) : null
  if (byPhase !== null) return byPhase
  const gate = textAt(rotation, 'waitingFor', 'gate')
  if (isKnown(gates, gate)) return gates[gate](rotation)
  const overdueMs = now.getTime() - new Date(textAt(rotation, 'dueAt')).getTime()
  return overdueMs > workerMs ? noWorker(overdueMs) : goesOn(rotation)
}

type Case = (rotation: JsonObject) => Advice

const reason = '--reason "…"'
const name = (rotation: JsonObject): string => `rotation/${textAt(rotation, 'id')}`
const until = (rotation: JsonObject): string => {
  const moment = textAt(rotation, 'waitingFor', 'until')
  return moment === '' ? '' : ` until ${moment}`
}

/** A due rotation is taken up within a second or two. */
const workerMs = 30_000

const noWorker = (ms: number): Advice => ({
  text: `it is due since ${span(ms)} and no worker has taken it up: is one running, and can it write?`,
  commands: ['rekey worker'],
})

const goesOn: Case = (rotation) => ({
  text: 'it goes on by itself',
  commands: [`rekey get ${name(rotation)} --watch`],
})

const waits =
  (text: string, ...commands: readonly ((rotation: JsonObject) => string)[]): Case =>
  (rotation) => ({
    text: `${text}${until(rotation)}`,
    commands: commands.map((command) => command(rotation)),
  })

const verb =
  (word: string) =>
  (rotation: JsonObject): string =>
    `rekey ${word} ${name(rotation)} ${reason}`

/** Two people say it, one of them an approver: `rekey override` of the second makes it count. */
const override = verb('override')

const gates: Readonly<Record<Gate, Case>> = {
  recovery: waits(
    'the database was restored: nothing is written to any provider until an admin accepts that',
    () => 'rekey doctor',
  ),
  approval: waits(
    'an approver who did not ask for it must approve',
    (r) => `rekey approve ${name(r)}`,
    verb('cancel'),
  ),
  window: waits('it starts in the next window of its policy', verb('cancel')),
  blackout: waits('a blackout of its policy holds it', verb('cancel')),
  freeze: waits('a freeze holds it', () => 'rekey freeze show'),
  pause: waits(
    'its policy is paused or disabled',
    (r) => `rekey describe policy/${textAt(r, 'policy')}`,
  ),
  group: waits(
    'others of its group go first',
    (r) => `rekey get rotations --policy ${textAt(r, 'policy')}`,
  ),
  limit: waits('its connection sends as many requests as it may; it goes on by itself'),
  propagation: waits(
    'the new version is used again until it is known everywhere; it goes on by itself',
  ),
  overlap: waits('both versions stay valid; it goes on by itself', override),
  acknowledgement: (rotation) => ({
    text: `these consumers have not acknowledged: ${textsAt(rotation, 'waitingFor', 'missing').join(', ')}`,
    commands: [
      ...textsAt(rotation, 'waitingFor', 'missing').map(
        (consumer) =>
          `rekey ack ${name(rotation)} --consumer ${consumer} --version ${textAt(rotation, 'toVersion')}`,
      ),
      override(rotation),
    ],
  }),
  usage: waits('the old version is still used, or nobody knows', override),
  soak: waits('the old version is off and watched; it goes on by itself', verb('rollback')),
  retry: waits(
    'the provider failed; it tries again by itself',
    (r) => `rekey describe key/${textAt(r, 'key')}`,
  ),
  probe: waits('a reply was lost; it asks the provider what happened, by itself'),
  person: waits(
    'a person does a step by hand, and says so',
    (r) => `rekey confirm ${name(r)}`,
    verb('rollback'),
  ),
}

const stalled = waits('it needs a person', verb('resume'), verb('rollback'), verb('abandon'))

const again = (rotation: JsonObject): string =>
  `rekey rotate key/${textAt(rotation, 'key')} ${reason}`

const phases: Readonly<Partial<Record<Phase, Case>>> = {
  stalled,
  completed: (rotation) => ({
    text: 'it is done',
    commands: [`rekey describe key/${textAt(rotation, 'key')}`],
  }),
  cancelled: (rotation) => ({ text: 'nothing was changed', commands: [again(rotation)] }),
  rolledBack: (rotation) => ({
    text: 'the old version is primary again',
    commands: [again(rotation)],
  }),
  abandoned: (rotation) => ({
    text: 'it was given up where it was; look at the versions before the next one',
    commands: [`rekey describe key/${textAt(rotation, 'key')}`, again(rotation)],
  }),
}

const isKnown = <K extends string>(
  table: Readonly<Partial<Record<K, Case>>>,
  word: string,
): word is K => Object.hasOwn(table, word)
