// `rekey writer-key …`: commands beside the database and the file of this host.
//
//   1. a new key is made known by a record that the present one signs. Killed here: it never signs anything
//   2. it takes the place of the old one in the file, in one step. Whoever starts from here on signs with it
//   3. every process reads the file again within two seconds, and signs with it from then on: nothing is restarted
//   4. no living process tells that it signs with the old one
//
// Records of before stay what they are: a public key that was enrolled is never taken away.

import { hostname } from 'node:os'
import { kidText, makeWriter } from '#audit/writer.ts'
import { Failure } from '#cli/failure.ts'
import { systemActor } from '#domain/actor.ts'
import type { HouseProcess } from '#domain/kek.ts'
import { systemClock } from '#runtime/clock.ts'
import { newWriterSeed, readWriterKey, replaceWriterKey } from '#runtime/writer-key.ts'
import { createProcesses } from '#store/processes.ts'
import { enrolNext, listWriterKeys } from '#store/writer-keys.ts'
import { livingMs } from '#usecases/every-process.ts'
import type { Config } from './config.ts'
import { onGround } from './kek-roles.ts'

const actor = systemActor('system', 'writer-key')

/** Returns the id of the key that signs now. */
export const rotateWriterKeyRole = (
  config: Config,
  { patienceMs, say }: { readonly patienceMs: number; readonly say: (line: string) => void },
): Promise<string> =>
  onGround(config, async ({ database, writing }) => {
    const before = kidText(writing.writer.kid)
    const seed = newWriterSeed()
    const next = makeWriter(seed)
    await enrolNext(writing, actor, next)
    await replaceWriterKey(config.writerKeyFile, seed)
    const kid = kidText(next.kid)
    say(`${kid} is in ${config.writerKeyFile}, in the place of ${before}`)
    const left = await stillSigning(
      () => createProcesses(database).living(livingMs),
      before,
      patienceMs,
    )
    if (left.length === 0) return kid
    throw new Failure({
      code: 'writerKey.waits',
      exit: 'stillWaiting',
      title: `${kid} signs, and not everywhere yet`,
      detail: `${left.map(({ instance, host }) => `${instance} on ${host}`).join(', ')} signs with ${before} still`,
      hint: left.some(({ host }) => host === hostname())
        ? 'Does it reach the database? Look again: rekey writer-key list'
        : `Give its host the file ${config.writerKeyFile}: it reads it again by itself. Look again: rekey writer-key list`,
    })
  })

const stillSigning = async (
  living: () => Promise<readonly HouseProcess[]>,
  kid: string,
  patienceMs: number,
): Promise<readonly HouseProcess[]> => {
  const until = systemClock.deadline(patienceMs)
  for (;;) {
    const left = (await living()).filter(({ signs }) => signs === kid) // oxlint-disable-line no-await-in-loop -- a poll
    if (left.length === 0 || until.aborted) return left
    await systemClock.pause(500, until) // oxlint-disable-line no-await-in-loop -- a poll
  }
}

export interface WriterKeyLine {
  readonly kid: string
  readonly enrolledAt: Date
  readonly inFile: boolean
  /** Living processes that sign with it. */
  readonly processes: readonly string[]
}

export const listWriterKeysRole = (config: Config): Promise<readonly WriterKeyLine[]> =>
  onGround(config, async ({ database }) => {
    const seed = readWriterKey(config.writerKeyFile)
    const ours = seed && kidText(makeWriter(seed).kid)
    const living = await createProcesses(database).living(livingMs)
    return (await listWriterKeys(database)).map(({ kid, enrolledAt }) => ({
      kid,
      enrolledAt,
      inFile: kid === ours,
      processes: living.filter(({ signs }) => signs === kid).map(({ instance }) => instance),
    }))
  })
