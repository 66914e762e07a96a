// Switching versions off and on: see secret-labels.ts for what that is here. Set semantics: done already is done. A label is
// put on before another is taken off, so that a crash in between leaves a version enabled, and the next try goes on.

import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type Call } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { foreignLabels, holderOf, label, moveLabel, stateOfLabels } from './secret-labels.ts'
import { fieldsIn, readValue, readVersions, type SecretFacts } from './secret-read.ts'
import type { SecretRef } from './secret-ref.ts'
import { handOut, isMadeWith, stageVersion } from './secret-write.ts'
import type { Aws } from './session.ts'
import { tokenOf } from './values.ts'

interface At {
  readonly aws: Aws
  readonly ref: SecretRef
  readonly secret: SecretFacts
  readonly version: string
}

type Switched = 'enabled' | 'disabled' | 'destroyed'

export const switchVersion = async (at: At, to: Switched, call: Call): Promise<JsonObject> => {
  const { aws, ref, secret, version } = at
  const labels = secret.labels.get(version) ?? []
  const state = stateOfLabels(labels)
  const facts = { version, from: state, to }
  if (state === 'destroyed') {
    const rows = await readVersions(aws, ref, call)
    if (!rows.some(({ id }) => id === version))
      throw new ProviderError('notFound', 'none', `the secret has no version ${version} (any more)`)
    if (to === 'enabled')
      throw new ProviderError(
        'precondition',
        'none',
        `version ${version} has lost its labels: it does not come back`,
      )
  }
  if (state === to || state === 'destroyed') return { ...facts, already: true }
  if (to === 'enabled') {
    await take(at, label.previous, call)
    await drop(at, [label.suspended], call)
    return facts
  }
  mustNotServe(labels, version, call)
  if (to === 'disabled') await take(at, label.suspended, call)
  await drop(
    at,
    labels.filter((name) => to === 'destroyed' || name !== label.suspended),
    call,
  )
  return facts
}

const take = async ({ aws, ref, secret, version }: At, name: string, call: Call): Promise<void> => {
  const from = holderOf(secret.labels, name)
  if (from !== version) await moveLabel(aws, ref, { label: name, from, to: version }, call)
}

const drop = async ({ aws, ref, version }: At, labels: readonly string[], call: Call) => {
  for (const name of labels)
    // oxlint-disable-next-line no-await-in-loop -- AWS takes one at a time
    await moveLabel(aws, ref, { label: name, from: version, to: null }, call)
}

const mustNotServe = (labels: readonly string[], version: string, call: Call): void => {
  if (labels.includes(label.current))
    throw new ProviderError(
      'precondition',
      'none',
      `version ${version} is the one that readers get`,
      { hint: 'hand out another version first: a secret always has a current one' },
    )
  const foreign = foreignLabels(labels)
  if (foreign.length > 0 && call.incident !== true)
    throw new ProviderError(
      'precondition',
      'none',
      `somebody has put a label of their own on version ${version}: who reads by it gets it`,
      { hint: `take it off: ${foreign.map((name) => JSON.stringify(name)).join(', ')}` },
    )
}

/** Undo of publishing into a place that held nothing. A secret that Rekey made is deleted, with AWS's shortest window to
 *  bring it back; of another one readers get the rest, in one version more. Whether readers get another's value meanwhile. */
export const takeBack = async (at: At, call: Call): Promise<boolean> => {
  const { aws, ref, secret, version } = at
  if (secret.deletedAt !== null) return true
  if (secret.labels.get(version)?.includes(label.current) !== true) return false
  const held = await readValue(aws, ref, { id: version }, call)
  const rest = held === null || ref.field === null ? {} : withoutField(fieldsIn(held), ref.field)
  if (isMadeWith(secret, version) && Object.keys(rest).length === 0) {
    await aws.write(
      'secretsmanager',
      ref.arn,
      (secrets, options) =>
        secrets.deleteSecret({ SecretId: ref.id, RecoveryWindowInDays: 7 }, options),
      call,
    )
    return true
  }
  if (held === null || ref.field === null)
    throw new ProviderError(
      'precondition',
      'none',
      'the secret was there before, and a secret always has a current version',
      { hint: 'write what readers shall get, or delete the secret' },
    )
  const whole = { ...ref, field: null }
  const token = tokenOf(`${call.operationId ?? version}:takeBack`)
  const to = { aws, ref: whole, token }
  await stageVersion(to, null, new Secret(JSON.stringify(rest)), call)
  await handOut(to, version, secret, call)
  return false
}

const withoutField = (
  fields: Readonly<Record<string, unknown>>,
  field: string,
): Readonly<Record<string, unknown>> => {
  const { [field]: _taken, ...rest } = fields
  return rest
}
