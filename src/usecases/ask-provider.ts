// What a provider tells of a key's object, to be compared with what is known here. Reads only.

import type { JsonObject } from '#domain/json.ts'
import type { Version } from '#domain/key.ts'
import type { Clock, Keyring } from '#domain/ports.ts'
import { type ObjectAddress, ProviderError, type Session } from '#domain/provider.ts'
import type { Told } from '#domain/recovery.ts'
import { callMs } from './prove-version.ts'
import type { SeenValue } from './renew-names.ts'
import { carriersIn } from './version-changes.ts'

export interface AskDeps {
  readonly keyring: Pick<Keyring, 'isFingerprintOf'>
  readonly clock: Clock
}

/** An object that does not exist is an answer; whatever else keeps a provider from answering is thrown. */
export const askProvider = async (
  deps: AskDeps,
  session: Session,
  object: ObjectAddress,
  ours: readonly Version[],
): Promise<Told & SeenValue & { readonly facts: JsonObject }> => {
  try {
    const { versions, facts, namedBy = [] } = await session.describe(object, call(deps))
    const primary = ours.find((version) => version.primary)
    return {
      versions,
      facts,
      namedBy,
      ...(primary === undefined
        ? { replaced: false, material: null }
        : await isReplaced(deps, session, object, primary)),
    }
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound')
      return { versions: null, facts: {}, namedBy: [], material: null, replaced: false }
    throw error
  }
}

/** Version numbers begin anew where somebody deleted the object and made it again: only the value tells. */
const isReplaced = async (
  deps: AskDeps,
  session: Session,
  object: ObjectAddress,
  primary: Version,
): Promise<Pick<Told & SeenValue, 'replaced' | 'unseen' | 'material'>> => {
  const carrier = primary.providerVersions.at(-1)
  if (primary.fingerprint === null || carrier === undefined)
    return { replaced: false, material: null }
  try {
    const material = await session.readMaterial(object, carrier, call(deps))
    return { replaced: !deps.keyring.isFingerprintOf(primary.fingerprint, material), material }
  } catch (error) {
    if (!isAnswer(error)) throw error
    // A version that is off or gone is told by its state; of others nobody may call the value the same unseen.
    const told = error.kind === 'notFound' || error.kind === 'disabled'
    return { replaced: false, material: null, unseen: told ? null : error.message }
  }
}

/** Versions that were written beside Rekey and hold the very value of the primary; asked only where another one is current. */
export const askForCarriers = async (
  { clock }: Pick<AskDeps, 'clock'>,
  session: Session,
  object: ObjectAddress,
  of: { readonly ours: readonly Version[]; readonly versions: Told['versions'] },
): Promise<readonly string[]> => {
  const current = of.versions?.find((version) => version.current)
  const primary = of.ours.find((version) => version.primary)
  const carrier = primary?.providerVersions.at(-1)
  if (!current || carrier === undefined || primary?.providerVersions.includes(current.id)) return []
  try {
    return carriersIn((await session.prepare(object, carrier, call({ clock }))).preImage)
  } catch (error) {
    // `prepare` refuses where another value stands in the primary's place.
    if (isAnswer(error)) return []
    throw error
  }
}

/** It is about this object. A refused login is about all of them. */
const isAnswer = (error: unknown): error is ProviderError =>
  error instanceof ProviderError && !error.retryable && error.kind !== 'auth'

const call = ({ clock }: Pick<AskDeps, 'clock'>) => ({ signal: clock.deadline(callMs) })
