// The key with which this process signs audit events: `rekey-writer-v1 <base64 of 32 bytes>`, made at the first start.

import { randomBytes } from 'node:crypto'
import { Secret } from '#domain/secret.ts'
import { readOrMakeKeyFile } from './key-file.ts'

/** The seed of an Ed25519 key. */
export const openWriterKey = async (file: string): Promise<Secret<Uint8Array>> => {
  const seed = await readOrMakeKeyFile(file, {
    what: 'audit writer key',
    pattern: /^rekey-writer-v1 ([A-Za-z0-9+/]{43}=)\s*$/,
    make: () => `rekey-writer-v1 ${randomBytes(32).toString('base64')}\n`,
  })
  return new Secret(new Uint8Array(Buffer.from(seed, 'base64')))
}
