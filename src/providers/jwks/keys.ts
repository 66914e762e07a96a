// Signing keys: made with node:crypto, shown as JSON Web Keys. A version's `kid` is the thumbprint of its public key
// (RFC 7638): nobody chooses it, and no two keys share one.

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK } from 'jose'
import type { JsonObject } from '#domain/json.ts'
import { ProviderError, type VaultRow } from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import type { NewMaterial } from '../stored-versions.ts'
import { type Algorithm, algorithms, isAlgorithm } from './types.ts'

export const newSigningKey = (generate: JsonObject): NewMaterial => {
  const algorithm = generate['algorithm'] ?? 'ES256'
  if (!isAlgorithm(algorithm)) {
    throw new ProviderError('permanent', 'none', 'there is no such algorithm', {
      hint: `use one of ${algorithms.join(', ')}`,
    })
  }
  const pair = newPair(algorithm)
  return {
    algorithm,
    material: new Secret(new Uint8Array(pair.privateKey.export({ type: 'pkcs8', format: 'der' }))),
    publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

const newPair = (algorithm: Algorithm) => {
  switch (algorithm) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' })
    case 'EdDSA':
      return generateKeyPairSync('ed25519')
    case 'RS256':
    case 'PS256':
      return generateKeyPairSync('rsa', { modulusLength: 3072 })
  }
}

export interface PublicJwk {
  readonly [member: string]: string
  readonly kid: string
  readonly alg: Algorithm
  readonly use: 'sig'
}

export const publicJwk = async ({
  version,
  publicKey,
  algorithm,
}: VaultRow): Promise<PublicJwk> => {
  if (publicKey === null || !isAlgorithm(algorithm))
    throw new RangeError(`version ${version} is no signing key`)
  const jwk = await exportJWK(createPublicKey(publicKey))
  const members = Object.entries(jwk).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return {
    ...Object.fromEntries(members),
    kid: await calculateJwkThumbprint(jwk),
    alg: algorithm,
    use: 'sig',
  }
}

export const signerOf = (material: Secret<Uint8Array>): KeyObject =>
  createPrivateKey({ key: Buffer.from(material.reveal()), format: 'der', type: 'pkcs8' })
