// What each way of logging in sends, and what it means when Vault refuses it. Kubernetes and JWT are one thing to us: a token
// that somebody else signed, and a role whose conditions Vault holds it against.

import { readFile } from 'node:fs/promises'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import type { Secret } from '#domain/secret.ts'
import type { LoginMethod, VaultSettings } from './settings.ts'
import { fieldsOf, textOf } from '../untyped-json.ts'

export type Login = Exclude<LoginMethod, 'token'>

/** Null: a token is given, and nobody logs in. */
export const loginOf = ({ auth }: VaultSettings): Login | null =>
  auth.method === 'token' ? null : auth.method

export const defaultMounts = {
  appRole: 'approle',
  kubernetes: 'kubernetes',
  jwt: 'jwt',
} as const satisfies Record<Login, string>

export interface LoginAt {
  readonly settings: VaultSettings
  readonly credential: Secret<string> | null
  /** Of the pod that this process runs in; null where the connection does not use the host's own credential. */
  readonly podToken: (() => Promise<string>) | null
}

/** The body of the login. Throws `auth` where the credential is none. */
export const loginBody = async (login: Login, at: LoginAt): Promise<JsonObject> => {
  if (login === 'appRole') {
    const { roleId, secretId } = appRole(at)
    return { role_id: roleId, secret_id: secretId }
  }
  const { role } = at.settings.auth
  // Read anew for each login: the kubelet writes another one before the former ends.
  const jwt = at.credential?.reveal().trim() ?? (await at.podToken?.()) ?? ''
  if (jwt === '') throw noCredential('a JWT')
  return { ...(role === undefined ? {} : { role }), jwt }
}

export const appRole = ({
  settings,
  credential,
}: Pick<LoginAt, 'settings' | 'credential'>): {
  readonly roleId: string
  readonly secretId: string
} => {
  const { roleId: told } = settings.auth
  const text = credential?.reveal() ?? ''
  if (told !== undefined && text.trim() !== '' && !text.trimStart().startsWith('{'))
    return { roleId: told, secretId: text.trim() }
  try {
    const value = fieldsOf(JSON.parse(text))
    const roleId = told ?? textOf(value['roleId'])
    const secretId = textOf(value['secretId'])
    if (roleId !== '' && secretId !== '') return { roleId, secretId }
  } catch {
    // The parser's message would quote the credential.
  }
  throw noCredential('{roleId, secretId}, or the secret_id where auth.roleId is in the settings')
}

export const noCredential = (what: string): ProviderError =>
  new ProviderError('auth', 'none', 'the connection has no usable credential', {
    hint: `its value is ${what}`,
  })

const serviceAccountFile = '/var/run/secrets/kubernetes.io/serviceaccount/token'

export const readPodToken = async (): Promise<string> => {
  try {
    return (await readFile(serviceAccountFile, 'utf8')).trim()
  } catch {
    throw new ProviderError('auth', 'none', 'this process has no service account token', {
      hint: `nothing can be read at ${serviceAccountFile}: run in a pod with one, or give the connection a JWT`,
    })
  }
}

const hints = {
  appRole:
    'role_id or secret_id is wrong, used up or expired: give the connection a new secret_id; or too many logins failed and the role is locked out for a while',
  kubernetes:
    'the role’s bound service accounts, namespaces or audience do not fit the token, it has ended, or Vault may not ask the cluster for a TokenReview',
  jwt: 'the role’s bound audiences, subject or claims do not fit the JWT, Vault does not know the key that signed it, or it has ended',
} as const satisfies Record<Login, string>

/** A login has no object, and its failure no effect on one. What Vault refuses is refused for the credential's sake. */
export const loginFailure = (error: unknown, login: Login): unknown => {
  if (!(error instanceof ProviderError)) return error
  const { status, message, hint } = error
  const told = status === null ? {} : { status }
  // 400 also: what is wrong with a JWT, or with the name of the role.
  if (error.effect === 'none' && (status === 400 || status === 401 || status === 403))
    return new ProviderError('auth', 'none', `Vault refused the ${login} login`, {
      ...told,
      hint: hints[login],
    })
  if (error.effect === 'none') return error
  const kind = error.kind === 'outcomeUnknown' ? 'transient' : error.kind
  return new ProviderError(kind, 'none', message, { ...told, ...(hint === null ? {} : { hint }) })
}
