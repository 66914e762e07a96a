// The last look at what leaves for a sink: if a word of it is the very material of a key that Rekey manages, the word is
// taken out. The fields are allow-listed already; this is for a sentence that somebody wrote with a secret in it.

import type { Json, JsonObject } from '#domain/json.ts'
import type { Ledger, SendToSink } from '#domain/ports.ts'
import { Secret } from '#domain/secret.ts'

export interface LastLookDeps {
  readonly ledger: Pick<Ledger, 'read'>
  readonly send: SendToSink
}

/** Shorter words are not looked up: no secret that Rekey makes is that short. */
const shortest = 12

/** The same sender, which looks first. Finds a secret that stands as a word, not one that is broken by spaces. */
export const withLastLook =
  ({ ledger, send }: LastLookDeps): SendToSink =>
  async (sink, secret, message) => {
    const words = [...new Set(textsOf(message.data).flatMap(wordsOf))]
    const managed = await ledger.read(async (db) => {
      const found: string[] = []
      for (const word of words) {
        // oxlint-disable-next-line no-await-in-loop -- a handful of words, one connection
        const versions = await db.versions.holding(new Secret(word))
        if (versions.length > 0) found.push(word)
      }
      return found
    })
    const data = managed.length === 0 ? message.data : without(message.data, managed)
    return send(sink, secret, { ...message, data })
  }

const textsOf = (data: JsonObject): readonly string[] =>
  Object.values(data).filter((value) => typeof value === 'string')

/** As it stands, and without the quotes and punctuation around it. */
const wordsOf = (text: string): readonly string[] =>
  text
    .split(/\s+/)
    .flatMap((word) => [word, word.replaceAll(/^["'`([{<]+|["'`)\]}>.,;:!?]+$/g, '')])
    .flatMap((word) => [word, ...word.split(/[=:,;"'`]/)])
    .filter((word) => word.length >= shortest)

const without = (data: JsonObject, managed: readonly string[]): JsonObject =>
  Object.fromEntries(
    Object.entries(data).map(([name, value]) => [name, redact(value, managed)] as const),
  )

const redact = (value: Json, managed: readonly string[]): Json =>
  typeof value === 'string'
    ? managed.reduce((text, word) => text.replaceAll(word, '«redacted»'), value)
    : value
