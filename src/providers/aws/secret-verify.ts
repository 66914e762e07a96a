import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call, type Material, type Verdict } from '#domain/provider.ts'
import { foreignLabels, label, stateOfLabels } from './secret-labels.ts'
import { readSecret, readValue, valueIn } from './secret-read.ts'
import type { SecretRef } from './secret-ref.ts'
import type { Aws } from './session.ts'
import { sameBytes } from '../digest.ts'

interface At {
  readonly aws: Aws
  readonly ref: SecretRef
  readonly version: string
  readonly expected: Material | null
}

/** Reads the version by its id and compares, where Rekey knows what it should hold. */
export const readsBack = async (
  { aws, ref, version, expected }: At,
  call: Call,
): Promise<Verdict> => {
  const held = await readValue(aws, ref, { id: version }, call)
  const facts = { operation: 'GetSecretValue', version, labels: [...(held?.labels ?? [])] }
  if (held === null || stateOfLabels(held.labels) !== 'enabled')
    return { ok: false, detail: `version ${version} is not handed out`, facts }
  const value = valueIn(ref, held)
  if (value === null)
    return { ok: false, detail: `version ${version} has no text in the field`, facts }
  if (expected !== null && !sameMaterial(value, expected))
    return { ok: false, detail: `version ${version} holds another value than Rekey wrote`, facts }
  return { ok: true, facts: { ...facts, compared: expected !== null } }
}

/** No label may give out the version, or, in what readers get, the same value again. By its id it is still read, where AWS
 *  has not deleted it yet and a policy allows it: that is told in the facts. */
export const isRefused = async (
  { aws, ref, version, expected }: At,
  call: Call,
): Promise<Verdict> => {
  const secret = await readSecret(aws, ref, call)
  const labels = secret?.labels.get(version) ?? []
  const facts: JsonObject = { operation: 'GetSecretValue', version, labels: [...labels] }
  if (secret === null || secret.deletedAt !== null)
    return { ok: true, facts: { ...facts, secret: 'deleted' } }
  if (stateOfLabels(labels) === 'enabled')
    return { ok: false, detail: `version ${version} is handed out as ${labels.join(', ')}`, facts }
  const tried = [
    label.current,
    label.previous,
    ...foreignLabels([...secret.labels.values()].flat()),
  ]
  for (const name of tried) {
    // oxlint-disable-next-line no-await-in-loop -- two of them, as a rule
    const held = await readValue(aws, ref, { label: name }, call)
    if (held?.id === version)
      return { ok: false, detail: `version ${version} is handed out as ${name}`, facts }
    const value = held === null ? null : valueOrNull(ref, held)
    if (expected !== null && value !== null && sameMaterial(value, expected))
      return {
        ok: false,
        detail: `${name}, which readers get, holds the same value`,
        facts,
      }
  }
  const byId = await readValue(aws, ref, { id: version }, call)
  return { ok: true, facts: { ...facts, tried, byVersionId: byId === null ? 'refused' : 'read' } }
}

/** What somebody else wrote need not be an object with fields. */
const valueOrNull = (ref: SecretRef, held: Parameters<typeof valueIn>[1]): Material | null => {
  try {
    return valueIn(ref, held)
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'precondition') return null
    throw error
  }
}

export const sameMaterial = (a: Material, b: Material): boolean => sameBytes(bytesOf(a), bytesOf(b))

const bytesOf = (material: Material): Uint8Array => {
  const value = material.reveal()
  return typeof value === 'string' ? new TextEncoder().encode(value) : value
}
