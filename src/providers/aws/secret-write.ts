// What makes versions. A version's id is the client token, which comes from the operation's id: asked twice, AWS makes one.
// It is written as AWSPENDING, so that nobody gets it yet, and handed out by moving AWSCURRENT: a compare-and-swap.

import { ProviderError, type Call, type Material, type Minted } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import { holderOf, label, moveLabel } from './secret-labels.ts'
import { fieldsIn, readValue, type SecretFacts } from './secret-read.ts'
import type { SecretRef } from './secret-ref.ts'
import type { Aws } from './session.ts'

interface At {
  readonly aws: Aws
  readonly ref: SecretRef
  readonly token: string
}

type Written = { readonly SecretString: string } | { readonly SecretBinary: Uint8Array }

/** The whole value of the new version: with a field, the others of version `from` are kept. */
const wholeValue = async (
  { aws, ref }: At,
  from: string | null,
  material: Material | null,
  call: Call,
): Promise<Written> => {
  if (material === null)
    throw new ProviderError('permanent', 'none', 'there is no material to write')
  if (ref.field === null) return written(material)
  const held = from === null ? null : await readValue(aws, ref, { id: from }, call)
  if (held === null && from !== null)
    throw new ProviderError('conflict', 'none', `version ${from} is not handed out any more`)
  const others = held === null ? {} : fieldsIn(held)
  return { SecretString: JSON.stringify({ ...others, [ref.field]: asText(material) }) }
}

const written = (material: Material): Written => {
  const value = material.reveal()
  return typeof value === 'string' ? { SecretString: value } : bytesOf(material, value)
}

/** Bytes that are text are written as text: most readers ask for SecretString. */
const bytesOf = (material: Material, value: Uint8Array): Written => {
  try {
    return { SecretString: revealText(material) }
  } catch {
    return { SecretBinary: value }
  }
}

const asText = (material: Material): string => {
  try {
    return revealText(material)
  } catch {
    throw new ProviderError('precondition', 'none', 'the material is not UTF-8 text', {
      hint: 'leave `field` out: the whole value may be bytes',
    })
  }
}

/** Writes the version, for nobody yet. */
export const stageVersion = async (
  at: At,
  from: string | null,
  material: Material | null,
  call: Call,
): Promise<void> => {
  const { aws, ref, token } = at
  const value = await wholeValue(at, from, material, call)
  const made = await aws.write(
    'secretsmanager',
    ref.arn,
    (secrets, options) =>
      secrets.putSecretValue(
        {
          SecretId: ref.id,
          ClientRequestToken: token,
          ...value,
          VersionStages: [label.pending],
        },
        options,
      ),
    call,
  )
  // For a token that it knows AWS answers without doing anything, also where the version has lost its labels since.
  if ((made.VersionStages ?? []).length === 0)
    throw new ProviderError('conflict', 'none', 'the version was made before and taken away since')
}

/** Hands the version out in place of `from`. Does nothing where it is handed out already. */
export const handOut = async (
  { aws, ref, token }: At,
  from: string | null,
  secret: SecretFacts,
  call: Call,
): Promise<void> => {
  const current = holderOf(secret.labels, label.current)
  if (current !== token) {
    if (current !== from)
      throw new ProviderError(
        'conflict',
        'none',
        `the secret’s ${label.current} is ${current ?? 'nowhere'}, and was ${from ?? 'nowhere'} before`,
      )
    await moveLabel(aws, ref, { label: label.current, from, to: token }, call)
  }
  // A crash here leaves AWSPENDING on the version that is current, which AWS takes for a finished rotation.
  if (secret.labels.get(token)?.includes(label.pending) === true)
    await afterEffect(() =>
      moveLabel(aws, ref, { label: label.pending, from: token, to: null }, call),
    )
}

/** What follows an effect that was had: a refusal now leaves a part of the whole. */
const afterEffect = async (work: () => Promise<void>): Promise<void> => {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ProviderError) || error.effect !== 'none') throw error
    throw new ProviderError(error.kind, 'partial', error.message, {
      ...(error.hint === null ? {} : { hint: error.hint }),
    })
  }
}

const madeByTag = 'rekey:operation'

/** Makes the secret with its first version. */
export const createSecret = async (
  at: At & { readonly operationId: string },
  material: Material | null,
  call: Call,
): Promise<Minted> => {
  const { aws, ref, token } = at
  const value = await wholeValue(at, null, material, call)
  await aws.write(
    'secretsmanager',
    ref.arn,
    (secrets, options) =>
      secrets.createSecret(
        {
          Name: ref.name,
          ClientRequestToken: token,
          ...value,
          Tags: [{ Key: madeByTag, Value: token }],
        },
        options,
      ),
    call,
  )
  return { providerVersion: token, facts: { created: true } }
}

/** Whether Rekey made the secret, with this very version. */
export const isMadeWith = (secret: SecretFacts, version: string): boolean =>
  secret.tags.get(madeByTag) === version
