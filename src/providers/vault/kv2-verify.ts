import type { Call, Verdict } from '#domain/provider.ts'
import { readMetadata, readVersion, valueIn } from './kv2-read.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'
import { sameBytes } from '../digest.ts'

/** Reads the version by its number and compares, where Rekey knows what it should hold. */
export const readsBack = async (
  ask: Ask,
  ref: Kv2Ref,
  version: number,
  expected: string | null,
  call: Call,
): Promise<Verdict> => {
  const read = await readVersion(ask, ref, version, call)
  const facts = { operation: 'read', version, state: read.state }
  if (read.state !== 'enabled')
    return { ok: false, detail: `version ${version} is ${read.state}`, facts }
  const value = read.data[ref.field]
  if (typeof value !== 'string')
    return { ok: false, detail: `version ${version} has no text in the field`, facts }
  if (expected !== null && !sameBytes(value, expected))
    return { ok: false, detail: `version ${version} holds another value than Rekey wrote`, facts }
  return { ok: true, facts: { ...facts, compared: expected !== null } }
}

/** The store must hand out neither the version nor, in its current one, the same value again. */
export const isRefused = async (
  ask: Ask,
  ref: Kv2Ref,
  version: number,
  expected: string | null,
  call: Call,
): Promise<Verdict> => {
  const read = await readVersion(ask, ref, version, call)
  const facts = { operation: 'read', version, state: read.state, status: read.status }
  if (read.state === 'enabled')
    return { ok: false, detail: `version ${version} is still handed out`, facts }
  const metadata = expected === null ? null : await readMetadata(ask, ref, call)
  if (expected === null || metadata === null || metadata.current === version)
    return { ok: true, facts }
  const served = await valueIn(ask, ref, metadata.current, call)
  return served !== null && sameBytes(served, expected)
    ? {
        ok: false,
        detail: `version ${metadata.current}, which readers get, holds the same value`,
        facts,
      }
    : { ok: true, facts }
}
