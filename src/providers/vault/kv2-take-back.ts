// Undo of publishing into a secret of others that had not the field: what readers get is written once more without it, and
// then our version, which is no longer what they get, can be destroyed like any other.
//
// A crash between the two leaves our version enabled: asked again, nothing is there to take back, and it is destroyed.

import type { Call } from '#domain/provider.ts'
import { readMetadata, readVersion, stateIn } from './kv2-read.ts'
import { writeVersion } from './kv2-write.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'
import { sameBytes } from '../digest.ts'
import { textOf } from '../untyped-json.ts'

interface At {
  readonly ask: Ask
  readonly ref: Kv2Ref
  readonly now: Date
  /** The version that the publish made. */
  readonly version: number
}

/** Whether a version was written. Not where readers get another's value in the field, and not where there is nothing but
 *  our value: destroying our version then takes all of it away. */
export const takeFieldBack = async (
  { ask, ref, now, version }: At,
  call: Call,
): Promise<boolean> => {
  const metadata = await readMetadata(ask, ref, call)
  if (metadata === null || stateIn(metadata.versions.get(version), now) !== 'enabled') return false
  const ours = await readVersion(ask, ref, version, call)
  const { current } = metadata
  const served = current === version ? ours : await readVersion(ask, ref, current, call)
  if (ours.state !== 'enabled' || served.state !== 'enabled') return false
  if (!(ref.field in served.data)) return false
  if (!sameBytes(textOf(served.data[ref.field]), textOf(ours.data[ref.field]))) return false
  const { [ref.field]: _taken, ...others } = served.data
  if (metadata.versions.size === 1 && Object.keys(others).length === 0) return false
  await writeVersion(ask, ref, current, others, call)
  return true
}
