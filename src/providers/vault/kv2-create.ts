// Making a secret, or a field in a secret that others use already (publishing to it). No earlier version is known of the
// order: what counts is whether the field is there, and every write is a check-and-set on what was looked at.

import { ProviderError, type Call, type Minted, type Probe } from '#domain/provider.ts'
import { readMetadata, readVersion, stateIn, valueIn } from './kv2-read.ts'
import { writeVersion } from './kv2-write.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'
import { sameBytes } from '../digest.ts'

interface At {
  readonly ask: Ask
  readonly ref: Kv2Ref
  readonly now: Date
  /** The value to be written. */
  readonly text: string
}

/** Once, however often it is asked: what is there already with this very value is taken for ours. */
export const createField = async (at: At, call: Call): Promise<Minted> => {
  const { ask, ref, text } = at
  const found = await probeCreate(at, call)
  if (found.answer === 'ours') return found.value
  if (found.answer !== 'absent') throw alreadyThere(ref)
  const current = (await readMetadata(ask, ref, call))?.current ?? 0
  const before = current === 0 ? null : await readVersion(ask, ref, current, call)
  const others = before?.state === 'enabled' ? before.data : {}
  // Between the look above and this read somebody may have made it.
  if (ref.field in others) throw alreadyThere(ref)
  return writeVersion(ask, ref, current, { ...others, [ref.field]: text }, call)
}

/** `ours` where readers get the value, or version 1 has it (another has written since); `absent` where the field is not
 *  handed out. */
export const probeCreate = async (
  { ask, ref, now, text }: At,
  call: Call,
): Promise<Probe<Minted>> => {
  const metadata = await readMetadata(ask, ref, call)
  if (metadata === null || metadata.current === 0) return { answer: 'absent' }
  for (const version of new Set([metadata.current, 1])) {
    // oxlint-disable-next-line no-await-in-loop -- the second only where the first is not ours
    const value = await valueIn(ask, ref, version, call)
    if (value !== null && sameBytes(value, text)) return { answer: 'ours', value: told(version) }
  }
  if (stateIn(metadata.versions.get(metadata.current), now) !== 'enabled')
    return { answer: 'absent' }
  const current = await readVersion(ask, ref, metadata.current, call)
  return current.state === 'enabled' && ref.field in current.data
    ? { answer: 'foreign', detail: `version ${metadata.current} has another value in the field` }
    : { answer: 'absent' }
}

const told = (version: number): Minted => ({
  providerVersion: String(version),
  facts: { version },
})

const alreadyThere = (ref: Kv2Ref): ProviderError =>
  new ProviderError('conflict', 'none', 'the secret has the field already', {
    hint: `something is at ${ref.dataPath}: register it without \`create\``,
  })
