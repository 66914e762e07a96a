import { ProviderError, type Call, type Material } from '#domain/provider.ts'
import { revealText, Secret } from '#domain/secret.ts'
import { labelsIn, stateOfLabels, type Labels } from './secret-labels.ts'
import type { SecretRef } from './secret-ref.ts'
import type { Aws } from './session.ts'

export interface SecretFacts {
  readonly arn: string
  readonly labels: Labels
  readonly deletedAt: Date | null
  /** AWS's own rotation, every so many seconds; null: off. */
  readonly rotatesEverySeconds: number | null
  /** The service that manages it, for instance rds. */
  readonly owner: string | null
  readonly kmsKeyId: string | null
  readonly replicas: readonly string[]
  readonly tags: ReadonlyMap<string, string>
}

const daySeconds = 86_400

/** Null: no such secret. */
export const readSecret = async (
  aws: Aws,
  ref: SecretRef,
  call: Call,
): Promise<SecretFacts | null> => {
  try {
    const told = await aws.read(
      'secretsmanager',
      ref.arn,
      (secrets, options) => secrets.describeSecret({ SecretId: ref.id }, options),
      call,
    )
    if (told.Name !== undefined && told.Name !== ref.name)
      throw new ProviderError('permanent', 'none', 'the ARN is not complete', {
        hint: 'AWS found a secret of another name: give the complete ARN, or the name',
      })
    return {
      arn: told.ARN ?? ref.id,
      labels: labelsIn(told.VersionIdsToStages),
      deletedAt: told.DeletedDate ?? null,
      rotatesEverySeconds:
        told.RotationEnabled === true
          ? (told.RotationRules?.AutomaticallyAfterDays ?? 1) * daySeconds
          : null,
      owner: told.OwningService ?? null,
      kmsKeyId: told.KmsKeyId ?? null,
      replicas: (told.ReplicationStatus ?? []).flatMap(({ Region }) => Region ?? []),
      tags: new Map((told.Tags ?? []).map(({ Key = '', Value = '' }) => [Key, Value])),
    }
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}

export interface VersionRow {
  readonly id: string
  readonly labels: readonly string[]
  readonly createdAt: Date | null
}

/** With those that have no label any more. */
export const readVersions = async (
  aws: Aws,
  ref: SecretRef,
  call: Call,
): Promise<readonly VersionRow[]> => {
  const rows: VersionRow[] = []
  let next: string | undefined
  do {
    const token = next
    // oxlint-disable-next-line no-await-in-loop -- a page names the next; AWS keeps a hundred versions
    const page = await aws.read(
      'secretsmanager',
      ref.arn,
      (secrets, options) =>
        secrets.listSecretVersionIds(
          {
            SecretId: ref.id,
            IncludeDeprecated: true,
            MaxResults: 100,
            ...(token === undefined ? {} : { NextToken: token }),
          },
          options,
        ),
      call,
    )
    for (const { VersionId: id, VersionStages: labels = [], CreatedDate } of page.Versions ?? [])
      if (id !== undefined) rows.push({ id, labels, createdAt: CreatedDate ?? null })
    next = page.NextToken === '' ? undefined : page.NextToken
  } while (next !== undefined)
  return rows
}

/** What a version holds: text or bytes, as they were written. */
export interface Held {
  readonly id: string
  readonly labels: readonly string[]
  readonly value: Material
}

const isVersionId = (id: string): boolean => id.length >= 32 && id.length <= 64

/** By its id or by a label. Null: AWS hands out no such thing. */
export const readValue = async (
  aws: Aws,
  ref: SecretRef,
  by: { readonly id: string } | { readonly label: string },
  call: Call,
): Promise<Held | null> => {
  // AWS refuses a shorter id as malformed.
  if ('id' in by && !isVersionId(by.id)) return null
  try {
    const told = await aws.read(
      'secretsmanager',
      ref.arn,
      (secrets, options) =>
        secrets.getSecretValue(
          { SecretId: ref.id, ...('id' in by ? { VersionId: by.id } : { VersionStage: by.label }) },
          options,
        ),
      call,
    )
    const value = told.SecretString ?? told.SecretBinary
    if (value === undefined || told.VersionId === undefined) return null
    return {
      id: told.VersionId,
      labels: told.VersionStages ?? [],
      value: typeof value === 'string' ? new Secret(value) : new Secret(new Uint8Array(value)),
    }
  } catch (error) {
    if (error instanceof ProviderError && error.kind === 'notFound') return null
    throw error
  }
}

/** The JSON object that a secret with fields is. */
export const fieldsIn = (held: Held): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(revealText(held.value))
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>
  } catch {
    // Falls through: neither text nor JSON.
  }
  throw new ProviderError('precondition', 'none', 'the secret is not a JSON object', {
    hint: 'leave `field` out: the whole value is rotated then',
  })
}

/** The value that the ref means in a version; null where its field is not there, or is no text. */
export const valueIn = (ref: SecretRef, held: Held): Material | null => {
  if (ref.field === null) return held.value
  const value = fieldsIn(held)[ref.field]
  return typeof value === 'string' ? new Secret(value) : null
}

/** As `readValue` by id, where a label still gives the version out. */
export const readLabelled = async (
  aws: Aws,
  ref: SecretRef,
  id: string,
  call: Call,
): Promise<Held | null> => {
  const held = await readValue(aws, ref, { id }, call)
  return held !== null && stateOfLabels(held.labels) === 'enabled' ? held : null
}
