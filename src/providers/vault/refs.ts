import { Type } from 'typebox'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError } from '#domain/provider.ts'
import { vaultPath } from './paths.ts'

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

export const transitRefSchema = Type.Object(
  {
    mount,
    name: Type.String({
      description: 'The key’s name.',
      // Vault's own rule; it answers another name with "unsupported path".
      pattern: '^\\w([\\w.-]*\\w)?$',
      maxLength: 512,
    }),
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
  const name = textIn(ref, 'name')
  if (!/^\w([\w.-]*\w)?$/.test(name))
    throw new ProviderError('permanent', 'none', 'the name cannot be one of a transit key')
  return {
    mount: at,
    name,
    keyPath: `${at}/keys/${name}`,
    rotatePath: `${at}/keys/${name}/rotate`,
    use: (operation) => `${at}/${operation}/${name}`,
  }
}

const textIn = (ref: JsonObject, name: string): string => {
  const value = ref[name]
  if (typeof value === 'string' && value !== '') return value
  throw new ProviderError('permanent', 'none', `ref.${name} is missing`)
}
