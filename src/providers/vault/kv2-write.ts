import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type Minted } from '#domain/provider.ts'
import type { Kv2Ref } from './refs.ts'
import type { Ask } from './session.ts'
import { numberOf, textOf, type Fields } from '../untyped-json.ts'

/** Writes the whole secret as version `cas` + 1, or throws `conflict`. `cas` 0: there must be none yet. */
export const writeVersion = async (
  ask: Ask,
  ref: Kv2Ref,
  cas: number,
  data: Fields,
  call: Call,
): Promise<Minted> => {
  const reply = await ask(
    {
      verb: 'write',
      path: ref.dataPath,
      body: { options: { cas }, data: data as JsonObject },
      needs: cas === 0 ? 'create' : 'update',
      changes: true,
    },
    call,
  )
  const version = numberOf(reply.data['version'])
  // A 204 without a version is a KV version 1 engine: what was written there is at another path than readers look.
  if (version === 0)
    throw new ProviderError('precondition', 'partial', 'the mount is not a KV version 2 engine', {
      hint: `remove what was written at ${ref.dataPath}`,
    })
  return {
    providerVersion: String(version),
    facts: { version, createdAt: textOf(reply.data['created_time']) },
  }
}

/** What follows a write that was done: a refusal now leaves a part of the whole. */
export const afterWrite = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof ProviderError) || error.effect !== 'none') throw error
    throw new ProviderError(error.kind, 'partial', error.message, {
      ...(error.hint === null ? {} : { hint: error.hint }),
    })
  }
}
