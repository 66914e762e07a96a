// Systems that keep one value in one place and number no versions: what is written takes the place of what was there. A version
// is named by its value (`ports.nameOf`), so that the name is the same whoever asks, and tells nothing of the value.
//
// A write is a compare-and-set by value: what the place held when its order was prepared must be there still. So ours lands
// once, and whether it has is told by reading: our value (`ours`), the one before (`absent`), another (`foreign`). Somebody who
// puts the value of before back, after our write and before the probe, is taken for us not having written.
//
// What was there is gone with the write: it cannot be switched off for a while, nor read again. Undo writes it once more, from
// Rekey's sealed copy. What readers have fetched they keep; that they fetch anew is theirs to do (`acceptGap`).

import type { JsonObject } from '#domain/json.ts'
import {
  ProviderError,
  type Call,
  type Material,
  type MintOrder,
  type Minted,
  type ObjectAddress,
  type Session,
  type TypeTraits,
  type Verdict,
} from '#domain/provider.ts'
import { Secret } from '#domain/secret.ts'
import { materialText } from './material-text.ts'

/** One place, as its ref names it. Every method throws ProviderError. */
export interface ValuePlace {
  /** Its name for names of values: never by the address of a server, which may change. */
  readonly id: string
  /** What readers get; null: nothing is there. */
  readonly read: (call: Call) => Promise<Secret | null>
  /** Throws where what is there is not its own to be written over. Reads only. */
  readonly look: (
    held: Secret | null,
    call: Call,
  ) => Promise<{ readonly facts: JsonObject; readonly risks: readonly string[] }>
  /** Once. `conflict` where it no longer holds `before` (null: nothing). */
  readonly write: (value: Secret, before: Secret | null, call: Call) => Promise<void>
  readonly remove: (before: Secret, call: Call) => Promise<void>
}

export interface SingleValueArgs {
  /** As people call the system. */
  readonly system: string
  readonly placeOf: (object: ObjectAddress) => ValuePlace
  readonly nameOf: (object: string, value: Material) => string
}

/** What follows from there being one place; the rest is the system's. */
export const singleValueTraits = {
  slot: 'single',
  staging: 'none',
  undo: 'rollForward',
  authority: 'store',
  revokes: 'version',
  suspend: false,
  attribution: 'exact',
  usage: null,
  deliver: false,
  material: 'ours',
  publishTarget: true,
  publishable: true,
  verifies: ['roundTrip'],
  operations: [],
} as const satisfies Partial<TypeTraits>

type SingleValueSession = Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'>

export const singleValue = ({ system, placeOf, nameOf }: SingleValueArgs): SingleValueSession => {
  const unsupported = (what: string): ProviderError =>
    new ProviderError('unsupported', 'none', `${what} is not possible in ${system}`)

  const heldIn = async (
    place: ValuePlace,
    call: Call,
  ): Promise<{ readonly value: Secret; readonly version: string } | null> => {
    const value = await place.read(call)
    return value === null ? null : { value, version: nameOf(place.id, value) }
  }

  const missing = (): ProviderError =>
    new ProviderError('notFound', 'none', `nothing is there in ${system}`, {
      hint: 'check the ref, or register the key with create: true',
    })

  const write = async (
    place: ValuePlace,
    { before, value }: { readonly before: Secret | null; readonly value: Secret },
    call: Call,
  ): Promise<Minted> => {
    await place.write(value, before, call)
    return { providerVersion: nameOf(place.id, value), facts: { replaced: before !== null } }
  }

  const mint = async (order: MintOrder, call: Call): Promise<Minted> => {
    const place = placeOf(order.object)
    const value = textOf(order)
    const held = await heldIn(place, call)
    if ((held?.version ?? null) !== heldBefore(order))
      throw new ProviderError('conflict', 'none', 'somebody else wrote there since it was read')
    return write(place, { before: held?.value ?? null, value }, call)
  }

  const create = async (order: MintOrder, call: Call): Promise<Minted> => {
    const place = placeOf(order.object)
    const value = textOf(order)
    const held = await heldIn(place, call)
    if (held === null) return write(place, { before: null, value }, call)
    if (held.version === nameOf(place.id, value))
      return { providerVersion: held.version, facts: { already: true } }
    throw new ProviderError('conflict', 'none', `a value is there in ${system} already`, {
      hint: 'register it without `create`',
    })
  }

  const verify = async (
    object: ObjectAddress,
    { providerVersion, material }: { providerVersion: string; material: Material | null },
    call: Call,
  ): Promise<Verdict> => {
    const place = placeOf(object)
    const held = await heldIn(place, call)
    const facts = { operation: 'read', there: held !== null }
    if (held === null) return { ok: false, detail: 'nothing is there', facts }
    if (held.version !== providerVersion)
      return { ok: false, detail: 'readers get another value', facts }
    return material === null || nameOf(place.id, material) === held.version
      ? { ok: true, facts: { ...facts, compared: material !== null } }
      : { ok: false, detail: 'it holds another value than Rekey wrote', facts }
  }

  const isRefused = async (
    object: ObjectAddress,
    providerVersion: string,
    call: Call,
  ): Promise<Verdict> => {
    const held = await heldIn(placeOf(object), call)
    const facts = { operation: 'read', there: held !== null }
    return held?.version === providerVersion
      ? { ok: false, detail: 'readers still get it', facts }
      : { ok: true, facts }
  }

  /** What is not there any more is gone: there is nothing to be switched off. */
  const remove = async (
    object: ObjectAddress,
    providerVersion: string,
    how: 'disable' | 'destroy',
    call: Call,
  ): Promise<JsonObject> => {
    const place = placeOf(object)
    const held = await heldIn(place, call)
    if (held?.version !== providerVersion) return { already: true }
    if (how === 'disable') throw unsupported('switching a value off')
    if (call.incident !== true && call.takeBack !== true)
      throw new ProviderError('precondition', 'none', 'it is the value that readers get', {
        hint: 'write another one first; only an incident takes the current one away',
      })
    await place.remove(held.value, call)
    return { removed: true }
  }

  return {
    describe: async (object, call) => {
      const place = placeOf(object)
      const held = await heldIn(place, call)
      if (held === null) throw missing()
      const { facts } = await place.look(held.value, call)
      return { versions: [{ id: held.version, state: 'enabled', current: true }], facts }
    },
    prepare: async (object, current, call) => {
      const place = placeOf(object)
      const held = await heldIn(place, call)
      if (held === null && current !== null) throw missing()
      const { facts, risks } = await place.look(held?.value ?? null, call)
      if (current !== null && held?.version !== current)
        throw new ProviderError('conflict', 'none', 'the value there was not written by Rekey', {
          hint: 'put the value of Rekey’s version back, or delete the key here and register it anew',
        })
      return { preImage: { ...facts, held: held?.version ?? null }, risks }
    },
    create,
    mint,
    probeMint: async (order, call) => {
      const place = placeOf(order.object)
      const held = await heldIn(place, call)
      const ours = nameOf(place.id, textOf(order))
      if (held?.version === ours)
        return { answer: 'ours', value: { providerVersion: ours, facts: {} } }
      return (held?.version ?? null) === heldBefore(order)
        ? { answer: 'absent' }
        : { answer: 'foreign', detail: 'somebody else wrote there' }
    },
    verify: async ({ object, providerVersion, material, how }, call) => {
      if (how === 'roundTrip') return verify(object, { providerVersion, material }, call)
      if (how === 'refused') return isRefused(object, providerVersion, call)
      throw unsupported(`verifying a stored value by ${how}`)
    },
    promote: async () => {
      throw unsupported('moving a pointer')
    },
    probePromote: async () => {
      throw unsupported('moving a pointer')
    },
    suspend: async () => {
      throw unsupported('switching a value off for a while')
    },
    reinstate: async () => {
      throw unsupported('switching a value on again')
    },
    retire: remove,
    stateOf: async (object, providerVersion, call) =>
      (await heldIn(placeOf(object), call))?.version === providerVersion ? 'enabled' : 'absent',
    lastUsed: async () => null,
    readMaterial: async (object, providerVersion, call) => {
      const held = await heldIn(placeOf(object), call)
      if (held?.version === providerVersion) return held.value
      throw new ProviderError('notFound', 'none', 'that value is not there any more')
    },
    operate: async () => {
      throw unsupported('using a stored value')
    },
  }
}

/** Of an order to create nothing was read before. */
const heldBefore = ({ preImage }: MintOrder): string | null => {
  const { held } = preImage
  return typeof held === 'string' ? held : null
}

const textOf = ({ material }: MintOrder): Secret => new Secret(materialText(material))
