// `aws.secretsmanager.secret`: a secret, or one field of a secret that is a JSON object.
//
// A new version is staged as AWSPENDING under an id that comes from the operation's, so that it is made once however often
// it is asked for, and promoted by moving AWSCURRENT from the version that the pre-image names: AWS refuses the move where
// somebody else was faster. AWS itself puts AWSPREVIOUS on the old one. Undo moves AWSCURRENT back.
//
// The store authenticates nobody with the value: rotating here rotates what readers get, and nothing behind it.

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Described,
  type Minted,
  type MintOrder,
  type ObjectAddress,
  type Prepared,
  type Probe,
  type PromoteOrder,
  type ProviderVersion,
} from '#domain/provider.ts'
import { requireRights } from './rights.ts'
import { foreignLabels, holderOf, label, stateOfLabels } from './secret-labels.ts'
import {
  fieldsIn,
  readLabelled,
  readSecret,
  readValue,
  readVersions,
  valueIn,
  type SecretFacts,
} from './secret-read.ts'
import { readSecretRef, type SecretRef } from './secret-ref.ts'
import { secretRights } from './secret-rights.ts'
import { switchVersion, takeBack } from './secret-switch.ts'
import { isRefused, readsBack, sameMaterial } from './secret-verify.ts'
import { createSecret, handOut, stageVersion } from './secret-write.ts'
import type { Aws, ObjectType } from './session.ts'
import { tokenOf, unsupported } from './values.ts'

export const makeSecret = (aws: Aws): ObjectType => {
  const refOf = ({ ref }: ObjectAddress): SecretRef => readSecretRef(ref, aws.settings)

  const secretAt = async (ref: SecretRef, call: Call): Promise<SecretFacts> => {
    const secret = await readSecret(aws, ref, call)
    if (secret !== null) return secret
    throw new ProviderError('notFound', 'none', 'there is no such secret in Secrets Manager', {
      hint: `nothing is at ${ref.id}, in ${aws.settings.region}`,
    })
  }

  const describe = async (object: ObjectAddress, call: Call): Promise<Described> => {
    const ref = refOf(object)
    const secret = await secretAt(ref, call)
    mustBeUsable(secret)
    await mustHaveField(aws, ref, secret, call)
    const versions = (await readVersions(aws, ref, call)).map(
      ({ id, createdAt }): ProviderVersion => {
        const labels = secret.labels.get(id) ?? []
        return {
          id,
          state: stateOfLabels(labels),
          current: labels.includes(label.current),
          ...(createdAt === null ? {} : { createdAt }),
        }
      },
    )
    return { versions, facts: factsOf(secret) }
  }

  const prepare = async (
    object: ObjectAddress,
    current: string | null,
    call: Call,
  ): Promise<Prepared> => {
    const ref = refOf(object)
    const found = await readSecret(aws, ref, call)
    // Nothing is there, and nothing need be: it is to be made.
    if (found === null && current === null) return { preImage: {}, risks: [] }
    const secret = found ?? (await secretAt(ref, call))
    mustBeUsable(secret)
    await mustHaveField(aws, ref, secret, call)
    await requireRights(
      aws,
      secretRights(secret.arn).filter(({ name }) => name !== 'describe'),
      call,
    )
    const served = holderOf(secret.labels, label.current)
    const pending = holderOf(secret.labels, label.pending)
    if (pending !== null && pending !== served)
      throw new ProviderError(
        'conflict',
        'none',
        `version ${pending} is ${label.pending}: somebody else’s rotation is under way, or was left`,
        { hint: `let it end, or take the label ${label.pending} off that version` },
      )
    const carriers =
      current === null || served === null || served === current
        ? []
        : await carriersOf(ref, current, served, call)
    return {
      preImage: { current: served, carriers: [...carriers], ...factsOf(secret) },
      risks: risksOf(secret, served),
    }
  }

  /** Somebody may have written another field: the version that readers get has our value in it then. */
  const carriersOf = async (
    ref: SecretRef,
    ours: string,
    served: string,
    call: Call,
  ): Promise<readonly string[]> => {
    const held = await readValue(aws, ref, { id: ours }, call)
    const now = await readValue(aws, ref, { id: served }, call)
    const [a, b] = [held && valueIn(ref, held), now && valueIn(ref, now)]
    if (a !== null && b !== null && sameMaterial(a, b)) return [served]
    throw new ProviderError('conflict', 'none', `version ${served} was not written by Rekey`, {
      hint: `Rekey holds version ${ours} with another value: move ${label.current} back to it, or delete the key here and register it anew, with version ${served}`,
    })
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = refOf(order.object)
    const token = tokenOf(order.operationId)
    const from = currentIn(order.preImage)
    const secret = await secretAt(ref, call)
    mustBeUsable(secret)
    if (!secret.labels.has(token)) {
      const other = strangerIn(secret, from)
      if (other !== null) throw new ProviderError('conflict', 'none', other)
      await stageVersion({ aws, ref, token }, from, order.material, call)
    }
    if (order.served === true) {
      const staged = new Map(secret.labels).set(token, [label.pending])
      const now = secret.labels.has(token) ? secret : { ...secret, labels: staged }
      await handOut({ aws, ref, token }, from, now, call)
    }
    return { providerVersion: token, facts: { secret: secret.arn } }
  }

  /** Once, however often it is asked: also of a field in a secret that others made. */
  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const ref = refOf(order.object)
    const token = tokenOf(order.operationId)
    const secret = await readSecret(aws, ref, call)
    if (secret === null)
      return createSecret({ aws, ref, token, operationId: order.operationId }, order.material, call)
    mustBeUsable(secret)
    if (holderOf(secret.labels, label.current) === token)
      return { providerVersion: token, facts: { secret: secret.arn } }
    const from = holderOf(secret.labels, label.current)
    if (!secret.labels.has(token)) {
      if (from !== null && (await hasField(aws, ref, from, call)))
        throw new ProviderError('conflict', 'none', 'the secret has a value already', {
          hint: `something is at ${ref.id}: register it without \`create\``,
        })
      await stageVersion({ aws, ref, token }, from, order.material, call)
    }
    await handOut({ aws, ref, token }, from, await secretAt(ref, call), call)
    return { providerVersion: token, facts: { secret: secret.arn } }
  }

  const probeMint = async (order: MintOrder, call: Call): Promise<Probe<Minted>> => {
    const ref = refOf(order.object)
    const token = tokenOf(order.operationId)
    const secret = await readSecret(aws, ref, call)
    const ours = {
      answer: 'ours',
      value: { providerVersion: token, facts: { secret: secret?.arn ?? ref.id } },
    } as const
    if (!('current' in order.preImage)) {
      if (secret === null) return { answer: 'absent' }
      const served = holderOf(secret.labels, label.current)
      if (served === token) return ours
      return served !== null && (await hasField(aws, ref, served, call))
        ? { answer: 'foreign', detail: `version ${served} was written by somebody else` }
        : { answer: 'absent' }
    }
    if (secret === null) return { answer: 'foreign', detail: 'the secret was deleted' }
    const from = currentIn(order.preImage)
    const served = holderOf(secret.labels, label.current)
    if (secret.labels.has(token)) {
      if (order.served !== true || served === token) return ours
      // Made, and not yet handed out: asking for it again does the rest.
      if (served === from) return { answer: 'absent' }
    }
    const other = strangerIn(secret, from)
    return other === null ? { answer: 'absent' } : { answer: 'foreign', detail: other }
  }

  const promote = async (order: PromoteOrder, call: Call): Promise<JsonObject> => {
    const ref = refOf(order.object)
    const secret = await secretAt(ref, call)
    if (!secret.labels.has(order.to))
      throw new ProviderError('notFound', 'none', `no label is on version ${order.to} any more`)
    await handOut({ aws, ref, token: order.to }, order.from, secret, call)
    return { current: order.to, previous: order.from }
  }

  const probePromote = async (order: PromoteOrder, call: Call): Promise<Probe<null>> => {
    const secret = await secretAt(refOf(order.object), call)
    const served = holderOf(secret.labels, label.current)
    if (served === order.to) return { answer: 'ours', value: null }
    return served === order.from
      ? { answer: 'absent' }
      : { answer: 'foreign', detail: `${label.current} is on version ${served ?? 'none'}` }
  }

  const switchTo = async (
    object: ObjectAddress,
    version: string,
    to: 'enabled' | 'disabled' | 'destroyed',
    call: Call,
  ): Promise<JsonObject> => {
    const ref = refOf(object)
    const at = { aws, ref, secret: await secretAt(ref, call), version }
    if (to !== 'destroyed' || call.takeBack !== true) return switchVersion(at, to, call)
    if (await takeBack(at, call)) return { version, to, secret: 'deleted' }
    return switchVersion({ ...at, secret: await secretAt(ref, call) }, to, call)
  }

  return {
    rights: async (object, call) => {
      const ref = refOf(object)
      try {
        return secretRights((await readSecret(aws, ref, call))?.arn ?? ref.arn)
      } catch (error) {
        if (error instanceof ProviderError && error.kind === 'forbidden')
          return secretRights(ref.arn)
        throw error
      }
    },
    describe,
    create,
    prepare,
    mint,
    probeMint,
    promote,
    probePromote,
    verify: async ({ object, providerVersion: version, material: expected, how }, call) => {
      const at = { aws, ref: refOf(object), version, expected }
      if (how === 'roundTrip') return readsBack(at, call)
      if (how === 'refused') return isRefused(at, call)
      throw unsupported(`verifying a stored secret by ${how}`)
    },
    suspend: (object, version, call) => switchTo(object, version, 'disabled', call),
    reinstate: (object, version, call) => switchTo(object, version, 'enabled', call),
    retire: (object, version, how, call) =>
      switchTo(object, version, how === 'disable' ? 'disabled' : 'destroyed', call),
    stateOf: async (object, version, call) => {
      const ref = refOf(object)
      const secret = await readSecret(aws, ref, call)
      if (secret === null || secret.deletedAt !== null) return 'absent'
      const labels = secret.labels.get(version)
      if (labels !== undefined) return stateOfLabels(labels)
      const rows = await readVersions(aws, ref, call)
      return rows.some(({ id }) => id === version) ? 'destroyed' : 'absent'
    },
    // LastAccessedDate knows days only, and counts Rekey's own reads.
    lastUsed: async () => null,
    readMaterial: async (object, version, call) => {
      const ref = refOf(object)
      const held = await readLabelled(aws, ref, version, call)
      const value = held === null ? null : valueIn(ref, held)
      if (value !== null) return value
      throw new ProviderError(
        'notFound',
        'none',
        `version ${version} has no text in the field, or is not handed out`,
      )
    },
    operate: async () => {
      throw unsupported('using a stored secret')
    },
  }
}

/** Why what is there is not what was read before, or null. */
const strangerIn = ({ labels }: SecretFacts, from: string | null): string | null => {
  const served = holderOf(labels, label.current)
  if (served !== from)
    return `somebody else has moved ${label.current}, from version ${from ?? 'none'} to ${served ?? 'none'}`
  const pending = holderOf(labels, label.pending)
  return pending === null || pending === served
    ? null
    : `somebody else has staged version ${pending} as ${label.pending}`
}

const currentIn = (preImage: JsonObject): string | null => {
  const current = preImage['current']
  return typeof current === 'string' ? current : null
}

const hasField = async (
  aws: Aws,
  ref: SecretRef,
  version: string,
  call: Call,
): Promise<boolean> => {
  const held = await readValue(aws, ref, { id: version }, call)
  return held !== null && (ref.field === null || ref.field in fieldsIn(held))
}

const mustHaveField = async (
  aws: Aws,
  ref: SecretRef,
  secret: SecretFacts,
  call: Call,
): Promise<void> => {
  const served = holderOf(secret.labels, label.current)
  if (ref.field === null || served === null || (await hasField(aws, ref, served, call))) return
  throw new ProviderError('notFound', 'none', 'the secret has no such field', {
    hint: `the current version has no field ${JSON.stringify(ref.field)}`,
  })
}

const mustBeUsable = ({ deletedAt, owner }: SecretFacts): void => {
  if (deletedAt !== null)
    throw new ProviderError('precondition', 'none', 'the secret is scheduled for deletion', {
      hint: 'bring it back (aws secretsmanager restore-secret), or wait until it is gone',
    })
  if (owner !== null)
    throw new ProviderError('precondition', 'none', `the secret is managed by ${owner}`, {
      hint: 'let that service rotate it, and register the key with observe: native',
    })
}

const factsOf = (secret: SecretFacts): JsonObject => ({
  arn: secret.arn,
  kmsKeyId: secret.kmsKeyId,
  replicas: [...secret.replicas],
  ...(secret.rotatesEverySeconds === null ? {} : { autoRotateSeconds: secret.rotatesEverySeconds }),
})

const risksOf = (secret: SecretFacts, served: string | null): readonly string[] => {
  const foreign = foreignLabels((served === null ? null : secret.labels.get(served)) ?? [])
  return [
    ...(secret.rotatesEverySeconds === null
      ? []
      : ['Secrets Manager is set to rotate the secret by itself too.']),
    ...(foreign.length === 0
      ? []
      : [
          `Who reads by ${foreign.map((name) => JSON.stringify(name)).join(', ')} keeps getting the old version: these labels do not move.`,
        ]),
  ]
}
