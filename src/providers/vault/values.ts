// Vault's replies are untyped JSON: these read them without trusting them.

import { createHash, timingSafeEqual } from 'node:crypto'
import { revealText } from '#domain/secret.ts'
import { ProviderError, type Material } from '#domain/provider.ts'

export type Fields = Readonly<Record<string, unknown>>

export const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

export const numberOf = (value: unknown): number =>
  typeof value === 'number' && Number.isFinite(value) ? value : 0

export const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []

/** A provider version of ours as Vault's number. */
export const versionNumber = (version: string): number => {
  if (!/^[1-9]\d{0,14}$/.test(version))
    throw new ProviderError('permanent', 'none', 'a version of Vault is a whole number from 1')
  return Number(version)
}

/** In time that does not depend on where they differ. */
export const sameText = (a: string, b: string): boolean => timingSafeEqual(sha256(a), sha256(b))

export const sha256 = (value: string | Uint8Array): Buffer =>
  createHash('sha256').update(value).digest()

/** Vault keeps JSON: material that is not text cannot be written as it is. */
export const materialText = (material: Material | null): string => {
  if (material === null)
    throw new ProviderError('permanent', 'none', 'there is no material to write')
  try {
    return revealText(material)
  } catch {
    throw new ProviderError('precondition', 'none', 'the material is not UTF-8 text')
  }
}
