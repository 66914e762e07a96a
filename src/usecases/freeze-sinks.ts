// The sinks that a token to break glass with will tell of its use, as they are when it is made.

import { type FrozenSink, frozenName } from '#domain/break-glass.ts'
import type { Tx } from '#domain/ports.ts'

/** Of all sinks that there are, switched off or not. Each has a secret of its own: a sink that is deleted takes its one along. */
export const freezeSinks = async (tx: Tx, apiKey: string): Promise<readonly FrozenSink[]> => {
  const frozen: FrozenSink[] = []
  for (const { name, type, url, sealedId } of await tx.sinks.all()) {
    // oxlint-disable no-await-in-loop -- few sinks, one connection
    const secret = await tx.sealed.open(sealedId)
    if (secret === null) continue
    const copy = await tx.writeSealed.insert(secret, `breakGlass:${apiKey}:${name}`)
    // oxlint-enable no-await-in-loop
    frozen.push({ name: frozenName(apiKey, name), type, url, sealedId: copy })
  }
  return frozen
}
