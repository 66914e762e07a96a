// The key with which this process signs audit events: `rekey-writer-v1 <base64 of 32 bytes>`, made at the first start.

import { randomBytes } from 'node:crypto'
import { revealBytes, Secret } from '#domain/secret.ts'
import { readKeyFile, readOrMakeKeyFile, replaceKeyFile } from './key-file.ts'

const lineOf = (seed: Uint8Array): string =>
  `rekey-writer-v1 ${Buffer.from(seed).toString('base64')}\n`
const seedOf = (text: string): Secret<Uint8Array> =>
  new Secret(new Uint8Array(Buffer.from(text, 'base64')))

const form = {
  what: 'audit writer key',
  pattern: /^rekey-writer-v1 ([A-Za-z0-9+/]{43}=)\s*$/,
  make: () => lineOf(randomBytes(32)),
}

/** The seed of an Ed25519 key. */
export const openWriterKey = async (file: string): Promise<Secret<Uint8Array>> =>
  seedOf(await readOrMakeKeyFile(file, form))

/** As it is in the file now; null where there is none. */
export const readWriterKey = (file: string): Secret<Uint8Array> | null => {
  const text = readKeyFile(file, form)
  return text === null ? null : seedOf(text)
}

export const newWriterSeed = (): Secret<Uint8Array> => new Secret(new Uint8Array(randomBytes(32)))

/** On the disk when it resolves. */
export const replaceWriterKey = (file: string, seed: Secret<Uint8Array>): Promise<void> =>
  replaceKeyFile(file, lineOf(revealBytes(seed)))
