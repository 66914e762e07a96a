// Somebody who uses keys all the while: encrypts, decrypts, and opens what was made long ago. Every wrong answer is written
// down. Only one thing is no failure: a connection that is refused or breaks while the process is known to be down.

import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { VaultPeer } from '#test/peers/vault.ts'
import type { RekeyProcess } from './rekey-process.ts'

/** A key that data is encrypted with, wherever that is. Throws whatever goes wrong. */
export interface Cipher {
  readonly name: string
  /** Takes and gives base64. */
  readonly encrypt: (plain: string) => Promise<string>
  readonly decrypt: (made: string) => Promise<string>
  /** Whether its server may be unreachable at this moment. */
  readonly mayBeDown: () => boolean
}

export interface Prober {
  /** Uses that went well, by key. */
  readonly uses: () => ReadonlyMap<string, number>
  readonly failures: () => readonly string[]
  readonly stop: () => Promise<void>
}

/** Every key is used by one loop of its own, `everyMs` between two uses. */
export const startProber = (ciphers: readonly Cipher[], everyMs = 25): Prober => {
  const uses = new Map<string, number>()
  const failures: string[] = []
  let running = true

  const use = async (cipher: Cipher): Promise<void> => {
    const made: { readonly plain: string; readonly sealed: string }[] = []
    for (; running; await pause(everyMs)) {
      try {
        const plain = randomBytes(24).toString('base64')
        const sealed = await cipher.encrypt(plain)
        made.push({ plain, sealed })
        const old = made[randomBytes(4).readUInt32BE() % made.length]
        for (const each of [{ plain, sealed }, ...(old ? [old] : [])]) {
          const opened = await cipher.decrypt(each.sealed)
          if (opened !== each.plain) throw new Error(`opened ${each.sealed} to something else`)
        }
        uses.set(cipher.name, (uses.get(cipher.name) ?? 0) + 1)
      } catch (error) {
        if (isConnection(error) && cipher.mayBeDown()) continue
        failures.push(`${new Date().toISOString()} ${cipher.name}: ${describe(error)}`)
      }
    }
  }

  const loops = ciphers.map(use)
  return {
    uses: () => uses,
    failures: () => failures,
    stop: async () => {
      running = false
      await Promise.all(loops)
    },
  }
}

/** A `local.key`, through Rekey's API. */
export const throughRekey = (rekey: RekeyProcess, name: string): Cipher => {
  const operate = async (what: string, input: string): Promise<string> => {
    const { status, json } = await rekey.call('POST', `/v1/keys/${name}/${what}`, { input })
    if (status !== 200) throw new Error(`${what}: ${status} ${JSON.stringify(json)}`)
    return json.output
  }
  return {
    name,
    encrypt: (plain) => operate('encryptions', plain),
    decrypt: (sealed) => operate('decryptions', sealed),
    mayBeDown: () => !rekey.up(),
  }
}

/** A transit key, at Vault itself: Vault is never down. */
export const throughVault = (vault: VaultPeer, name: string): Cipher => ({
  name,
  encrypt: async (plaintext) =>
    String((await vault.api('POST', `transit/encrypt/${name}`, { plaintext })).data['ciphertext']),
  decrypt: async (ciphertext) =>
    String((await vault.api('POST', `transit/decrypt/${name}`, { ciphertext })).data['plaintext']),
  mayBeDown: () => false,
})

/** `fetch` throws a TypeError for these and nothing else: refused, reset, ended in the middle of an answer. */
const isConnection = (error: unknown): boolean => error instanceof TypeError

const describe = (error: unknown): string =>
  error instanceof Error
    ? `${error.message} ${error.cause instanceof Error ? error.cause.message : ''}`
    : String(error)
