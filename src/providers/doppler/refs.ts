import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { apiUrlOf } from './settings.ts'

// Doppler's own rules; what breaks them could be another spelling of the same thing.
const slug = /^[a-z0-9][a-z0-9_-]{0,63}$/
const secretName = /^[A-Z_][A-Z0-9_]{0,255}$/
const tokenName = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$/
/** Doppler makes these itself. */
const managed = /^DOPPLER_(PROJECT|CONFIG|ENVIRONMENT)$/

const project = Type.String({
  description: 'The project, as its address in the dashboard has it.',
  pattern: slug.source,
  examples: ['backend'],
})
const config = Type.String({
  description: 'The config, for instance prd or prd_aws.',
  pattern: slug.source,
  examples: ['prd'],
})
export const accesses = ['read', 'read/write'] as const
export type Access = (typeof accesses)[number]

export const secretRefSchema = Type.Object(
  {
    project,
    config,
    name: Type.String({
      description: 'The secret’s name: upper case letters, digits and underscores.',
      pattern: secretName.source,
      examples: ['STRIPE_KEY'],
    }),
  },
  { additionalProperties: false },
)

export const tokenRefSchema = Type.Object(
  {
    project,
    config,
    access: Type.Enum([...accesses], { description: 'What the tokens may do in the config.' }),
    name: Type.Optional(
      Type.String({
        description:
          'For configs that several applications have tokens of: these are the tokens named so, and those that Rekey makes, `<name>#<operation>`. Unless told, all of the config with this access.',
        pattern: tokenName.source,
      }),
    ),
  },
  { additionalProperties: false },
)

export interface ConfigRef {
  readonly project: string
  readonly config: string
  /** `project/config`, for people. */
  readonly at: string
  /** As queries and bodies have it. */
  readonly place: { readonly project: string; readonly config: string }
}

export interface SecretRef extends ConfigRef {
  readonly name: string
}

export interface TokenRef extends ConfigRef {
  readonly access: Access
  readonly name: string | null
}

const textIn = (ref: JsonObject, name: string, rule: RegExp): string => {
  const value = ref[name]
  if (typeof value === 'string' && rule.test(value)) return value
  throw new ProviderError('permanent', 'none', `ref.${name} cannot be a name in Doppler`)
}

const configIn = (ref: JsonObject): ConfigRef => {
  const at = { project: textIn(ref, 'project', slug), config: textIn(ref, 'config', slug) }
  return { ...at, at: `${at.project}/${at.config}`, place: at }
}

export const readSecretRef = (ref: JsonObject): SecretRef => {
  const name = textIn(ref, 'name', secretName)
  if (managed.test(name))
    throw new ProviderError('permanent', 'none', 'Doppler itself makes the secrets of that name')
  return { ...configIn(ref), name }
}

export const readTokenRef = (ref: JsonObject): TokenRef => {
  const access = accesses.find((one) => one === ref['access'])
  if (access === undefined)
    throw new ProviderError('permanent', 'none', `ref.access is one of ${accesses.join(', ')}`)
  return {
    ...configIn(ref),
    access,
    name: ref['name'] === undefined ? null : textIn(ref, 'name', tokenName),
  }
}

const hostOf = (settings: JsonObject): string => new URL(apiUrlOf(settings)).host

/** `doppler.secret:api.doppler.com/backend/prd/STRIPE_KEY` */
export const secretIdOf = (settings: JsonObject, ref: JsonObject): string => {
  const { at, name } = readSecretRef(ref)
  return `doppler.secret:${hostOf(settings)}/${at}/${name}`
}

/** `doppler.serviceToken:api.doppler.com/backend/prd/read`, and `/name` */
export const tokensIdOf = (settings: JsonObject, ref: JsonObject): string => {
  const { at, access, name } = readTokenRef(ref)
  const tail = name === null ? '' : `/${encodeURIComponent(name)}`
  return `doppler.serviceToken:${hostOf(settings)}/${at}/${access === 'read' ? 'read' : 'read-write'}${tail}`
}
