import { Type, type TString } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { vaultPath } from './paths.ts'
import { fieldsOf } from '../untyped-json.ts'

const mount = Type.String({
  description: 'Where the engine is mounted, for instance secret.',
  minLength: 1,
  maxLength: 512,
})

export const kv2RefSchema = Type.Object(
  {
    mount,
    path: Type.String({
      description: 'The secret below the mount, without data/.',
      minLength: 1,
      maxLength: 2048,
    }),
    field: Type.String({
      description: 'The field that holds the value; the others are kept.',
      minLength: 1,
      maxLength: 512,
    }),
  },
  { additionalProperties: false },
)

/** Vault's own rule for the names of keys and roles; it answers another name with "unsupported path". */
const namePattern = '^\\w([\\w.-]*\\w)?$'
const name = (description: string): TString =>
  Type.String({ description, pattern: namePattern, maxLength: 512 })

export const transitRefSchema = Type.Object(
  { mount, name: name('The key’s name.') },
  { additionalProperties: false },
)

export const staticRoleRefSchema = Type.Object(
  { mount, role: name('The static role’s name.') },
  { additionalProperties: false },
)

export const secretIdRefSchema = Type.Object(
  {
    mount: Type.String({
      description: 'Where AppRole is enabled, below auth/, for instance approle.',
      minLength: 1,
      maxLength: 512,
    }),
    role: name('The AppRole’s name.'),
  },
  { additionalProperties: false },
)

export const issuerRefSchema = Type.Object(
  {
    mount,
    role: Type.Optional(name('The role by which issuers are tried; rekey-check unless told.')),
    parent: Type.Optional(
      Type.Object(
        {
          mount,
          issuer: Type.Optional(name('The issuer there that signs; its default unless told.')),
        },
        {
          additionalProperties: false,
          description: 'For an intermediate: the authority in this Vault that signs the next one.',
        },
      ),
    ),
  },
  { additionalProperties: false },
)

export interface Kv2Ref {
  readonly mount: string
  readonly path: string
  readonly field: string
  readonly dataPath: string
  readonly metadataPath: string
  readonly configPath: string
  readonly mountInfoPath: string
  readonly switchPath: Readonly<Record<'disabled' | 'enabled' | 'destroyed', string>>
}

export const readKv2Ref = (ref: JsonObject): Kv2Ref => {
  const at = vaultPath(textIn(ref, 'mount'))
  const path = vaultPath(textIn(ref, 'path'))
  return {
    mount: at,
    path,
    field: textIn(ref, 'field'),
    dataPath: `${at}/data/${path}`,
    metadataPath: `${at}/metadata/${path}`,
    configPath: `${at}/config`,
    mountInfoPath: `sys/internal/ui/mounts/${at}`,
    switchPath: {
      disabled: `${at}/delete/${path}`,
      enabled: `${at}/undelete/${path}`,
      destroyed: `${at}/destroy/${path}`,
    },
  }
}

export interface TransitRef {
  readonly mount: string
  readonly name: string
  readonly keyPath: string
  readonly rotatePath: string
  readonly use: (operation: 'encrypt' | 'decrypt' | 'sign' | 'verify' | 'hmac') => string
}

export const readTransitRef = (ref: JsonObject): TransitRef => {
  const at = vaultPath(textIn(ref, 'mount'))
  const name = nameIn(ref, 'name')
  return {
    mount: at,
    name,
    keyPath: `${at}/keys/${name}`,
    rotatePath: `${at}/keys/${name}/rotate`,
    use: (operation) => `${at}/${operation}/${name}`,
  }
}

export interface StaticRoleRef {
  readonly mount: string
  readonly role: string
  readonly rolePath: string
  readonly rotatePath: string
  readonly credentialPath: string
}

export const readStaticRoleRef = (ref: JsonObject): StaticRoleRef => {
  const at = vaultPath(textIn(ref, 'mount'))
  const role = nameIn(ref, 'role')
  return {
    mount: at,
    role,
    rolePath: `${at}/static-roles/${role}`,
    rotatePath: `${at}/rotate-role/${role}`,
    credentialPath: `${at}/static-creds/${role}`,
  }
}

export interface SecretIdRef {
  /** In lower case, as Vault keeps it. */
  readonly role: string
  readonly authPath: string
  readonly rolePath: string
  readonly roleIdPath: string
  readonly listPath: string
  readonly customPath: string
  readonly lookUpPath: string
  readonly lookUpAccessorPath: string
  readonly destroyPath: string
  readonly loginPath: string
}

export const readSecretIdRef = (ref: JsonObject): SecretIdRef => {
  const authPath = vaultPath('auth', textIn(ref, 'mount'))
  const role = nameIn(ref, 'role').toLowerCase()
  const rolePath = `${authPath}/role/${role}`
  return {
    role,
    authPath,
    rolePath,
    roleIdPath: `${rolePath}/role-id`,
    listPath: `${rolePath}/secret-id`,
    customPath: `${rolePath}/custom-secret-id`,
    lookUpPath: `${rolePath}/secret-id/lookup`,
    lookUpAccessorPath: `${rolePath}/secret-id-accessor/lookup`,
    destroyPath: `${rolePath}/secret-id-accessor/destroy`,
    loginPath: `${authPath}/login`,
  }
}

/** Issuers and keys that Rekey made. */
export const issuerPrefix = 'rekey-'

/** Once in a mount. */
export const issuerName = (operationId: string): string =>
  issuerPrefix + operationId.replaceAll(/[^\w.-]/g, '-')

export interface IssuerRef {
  readonly mount: string
  readonly mountInfoPath: string
  readonly listPath: string
  readonly configPath: string
  readonly generatePath: string
  readonly keysPath: string
  /** Null: a root, which signs itself. */
  readonly parent: ParentRef | null
  readonly rolePath: string
  readonly issuerPath: (id: string) => string
  readonly issuePath: (id: string) => string
  readonly keyPath: (id: string) => string
}

/** Where an intermediate is asked for, signed, and brought back. */
export interface ParentRef {
  readonly requestPath: string
  /** For a key that is there already. */
  readonly requestAgainPath: string
  readonly issuerPath: string
  readonly signPath: string
  readonly importPath: string
}

export const readIssuerRef = (ref: JsonObject): IssuerRef => {
  const at = vaultPath(textIn(ref, 'mount'))
  const role = ref['role'] === undefined ? 'rekey-check' : nameIn(ref, 'role')
  const parent = ref['parent'] === undefined ? null : fieldsOf(ref['parent'])
  return {
    mount: at,
    mountInfoPath: `sys/internal/ui/mounts/${at}`,
    listPath: `${at}/issuers`,
    configPath: `${at}/config/issuers`,
    // `internal`: the key never leaves Vault.
    generatePath: `${at}/issuers/generate/root/internal`,
    keysPath: `${at}/keys`,
    parent: parent === null ? null : parentOf(at, parent as JsonObject),
    rolePath: `${at}/roles/${role}`,
    issuerPath: (id) => `${at}/issuer/${id}`,
    issuePath: (id) => `${at}/issuer/${id}/issue/${role}`,
    keyPath: (id) => `${at}/key/${id}`,
  }
}

const parentOf = (at: string, parent: JsonObject): ParentRef => {
  const issuer = parent['issuer'] === undefined ? 'default' : nameIn(parent, 'issuer')
  const issuerPath = `${vaultPath(textIn(parent, 'mount'))}/issuer/${issuer}`
  return {
    requestPath: `${at}/issuers/generate/intermediate/internal`,
    requestAgainPath: `${at}/issuers/generate/intermediate/existing`,
    issuerPath,
    signPath: `${issuerPath}/sign-intermediate`,
    importPath: `${at}/issuers/import/cert`,
  }
}

const nameIn = (ref: JsonObject, field: 'name' | 'role' | 'issuer'): string => {
  const value = textIn(ref, field)
  if (new RegExp(namePattern).test(value)) return value
  throw new ProviderError('permanent', 'none', `ref.${field} cannot be a name in Vault`)
}

const textIn = (ref: JsonObject, name: string): string => {
  const value = ref[name]
  if (typeof value === 'string' && value !== '') return value
  throw new ProviderError('permanent', 'none', `ref.${name} is missing`)
}
