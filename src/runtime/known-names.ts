// A value has a name under each pepper, and is known by one of them: the one that stands in a version, or in what a rotation has
// noted. A provider asks for the name of a value and compares texts (`ports.nameOf`), so it is told the very name that the value
// is known by, and only a value that nobody knows gets one of the present pepper. Which names are known is seen from the call:
// what was handed to it, and, where nothing of the kind was (`describe`), what stands in the key's versions and its open rotation.
//
// So names that are compared are always of one pepper, and no provider knows that there are several. A name must not be kept
// beyond the call in which it was made.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Keyring, Ledger } from '#domain/ports.ts'
import type { Described, ObjectAddress, ProviderPorts, Session } from '#domain/provider.ts'
import { namesOfValue, pepperOfName } from '#domain/value-name.ts'
import { aroundSession } from './around-session.ts'

export interface KnownNamesDeps {
  readonly keyring: Pick<Keyring, 'fingerprints' | 'mustKnow'> & {
    readonly peppers: { readonly all: readonly unknown[] }
  }
  readonly ledger: Pick<Ledger, 'read'>
}

/** Names that a call may meet, those that it asks about first. */
interface InPlay {
  readonly names: readonly ReadonlySet<string>[]
  /** Objects whose values were named in it. */
  readonly objects: Set<string>
}

/** For one session. */
export const knownNames = ({
  keyring,
  ledger,
}: KnownNamesDeps): {
  readonly nameOf: ProviderPorts['nameOf']
  readonly around: (session: Session) => Session
} => {
  const calls = new AsyncLocalStorage<InPlay>()
  let namesValues = false
  const stored = async (keyId: string): Promise<ReadonlySet<string>> => {
    const rows = await ledger.read(async (db) => {
      const versions = await db.versions.of(keyId)
      const rotation = await db.rotations.openOf(keyId)
      const intents = rotation ? await db.intents.of(rotation.id) : []
      return [
        versions.map(({ providerVersions }) => providerVersions),
        intents.map(({ target, preImage, result }) => ({ target, preImage, result })),
      ]
    })
    return new Set(namesIn(rows))
  }
  const inPlay = async (operation: string, args: readonly unknown[]): Promise<InPlay> => {
    const asked = new Set(args.flatMap((argument) => shallow(argument)))
    const more = new Set(args.flatMap((argument) => namesIn(argument)))
    const told = operation === 'describe' && (namesValues || keyring.peppers.all.length > 1)
    const known = told ? await stored((args[0] as ObjectAddress).keyId) : new Set<string>()
    const names = [asked, more, known]
    // One that was made elsewhere a moment ago, with a pepper that is in the file here too.
    keyring.mustKnow(names.flatMap((set) => [...set].flatMap((name) => pepperOfName(name) ?? [])))
    return { names, objects: new Set() }
  }
  return {
    nameOf: (object, value) => {
      namesValues = true
      const names = namesOfValue(keyring, object, value)
      const call = calls.getStore()
      call?.objects.add(object)
      for (const known of call?.names ?? []) {
        const name = names.find((one) => known.has(one))
        if (name !== undefined) return name
      }
      return names[0]
    },
    around: (session) =>
      aroundSession(session, async (operation, call, args) => {
        const play = await inPlay(operation, args)
        const reply = await calls.run(play, call)
        return operation === 'describe' && play.objects.size > 0
          ? { ...(reply as Described), namedBy: [...play.objects] }
          : reply
      }),
  }
}

/** Of the argument itself, and of its own properties. */
const shallow = (argument: unknown): readonly string[] =>
  (typeof argument === 'object' && argument !== null ? Object.values(argument) : [argument]).filter(
    isName,
  )

/** However deep: arguments and rows are plain data, but for signals and secrets, which hold none. */
const namesIn = (value: unknown): readonly string[] => {
  if (isName(value)) return [value]
  if (Array.isArray(value)) return value.flatMap(namesIn)
  const plain = typeof value === 'object' && value !== null && isPlain(value)
  return plain ? Object.values(value).flatMap(namesIn) : []
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isName = (value: unknown): value is string =>
  typeof value === 'string' && pepperOfName(value) !== null
