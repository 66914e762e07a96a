// An access key is used for real: STS is asked who it is, which no policy can forbid. Where its secret is not known (it was
// made before Rekey came) what IAM says of it must do, and the facts say that nothing was tried.

import { ProviderError, type Call, type Material, type Verdict } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'
import type { Aws } from './session.ts'
import { readKeys } from './user-read.ts'
import type { UserRef } from './user-ref.ts'

interface At {
  readonly aws: Aws
  readonly ref: UserRef
  readonly id: string
  readonly material: Material | null
}

const operation = 'GetCallerIdentity'

export const logsIn = async ({ aws, ref, id, material }: At, call: Call): Promise<Verdict> => {
  if (material === null) {
    const active = await isActive({ aws, ref, id }, call)
    const facts = { operation: 'ListAccessKeys', tried: false, active }
    return active ? { ok: true, facts } : { ok: false, detail: `${id} is not active`, facts }
  }
  const login = await tryKey({ aws, id, material }, call)
  if (!login.accepted)
    return {
      ok: false,
      detail: `STS refuses ${id}`,
      facts: { operation, status: login.status, requestId: login.requestId },
    }
  const { arn } = login
  return isOf(arn, aws, ref)
    ? { ok: true, facts: { operation, arn } }
    : { ok: false, detail: `${id} is of another principal`, facts: { operation, arn } }
}

/** Off by IAM's word, and where the secret is known also tried: one without the other would be believed too early. */
export const isRefused = async ({ aws, ref, id, material }: At, call: Call): Promise<Verdict> => {
  const login = material === null ? null : await tryKey({ aws, id, material, canary: true }, call)
  if (login?.accepted === true)
    return { ok: false, detail: `STS accepts ${id} still`, facts: { operation, arn: login.arn } }
  const active = await isActive({ aws, ref, id }, call)
  const facts =
    login === null
      ? { operation: 'ListAccessKeys', tried: false, active }
      : { operation, status: login.status, requestId: login.requestId, active }
  return active ? { ok: false, detail: `${id} is active`, facts } : { ok: true, facts }
}

const isActive = async ({ aws, ref, id }: Omit<At, 'material'>, call: Call): Promise<boolean> => {
  const told = await readKeys(aws, ref, call)
  return told?.keys.some((key) => key.id === id && key.active) ?? false
}

type Login =
  | { readonly accepted: true; readonly arn: string }
  | {
      readonly accepted: false
      readonly status: number | null
      readonly requestId: string | null
    }

const tryKey = async (
  at: {
    readonly aws: Aws
    readonly id: string
    readonly material: Material
    readonly canary?: boolean
  },
  call: Call,
): Promise<Login> => {
  const key = { accessKeyId: at.id, secretAccessKey: revealText(at.material) }
  try {
    return { accepted: true, arn: await at.aws.whoIs(key, at.canary === true, call) }
  } catch (error) {
    if (!(error instanceof ProviderError) || error.kind !== 'auth') throw error
    return { accepted: false, status: error.status, requestId: error.requestId }
  }
}

/** By account and name: of the path the ref says nothing. */
const isOf = (arn: string, { settings }: Aws, ref: UserRef): boolean => {
  const [, account, path = ''] = /^arn:[\w-]+:iam::(\d{12}):user\/(.+)$/.exec(arn) ?? []
  const user = path.split('/').at(-1) ?? ''
  return account === settings.account && user.toLowerCase() === ref.name.toLowerCase()
}
