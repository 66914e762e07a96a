// What is said of a provider from outside before anything of it is called: a whole one, and each thing that can be wrong with it.

import fc from 'fast-check'
import { Type } from 'typebox'
import { describe, expect, test } from 'vitest'
import type { InIncident, KeyType, Provider, TypeTraits } from '#domain/provider.ts'
import { faultsOfProvider } from '#domain/provider-shape.ts'
import { Secret } from '#domain/secret.ts'
import { completed } from './key-facts.ts'

const none = Type.Object({}, { additionalProperties: false })
const wholeType: KeyType = {
  type: 'acme.secret',
  title: 'Secret',
  traits: completed.traits,
  refSchema: none,
  generateSchema: none,
  objectId: ({ keyName }) => keyName,
  leastPrivilege: () => ({}),
  generate: () => new Secret('made'),
}
const whole: Provider = {
  id: 'acme',
  title: 'Acme',
  settingsSchema: none,
  credentialSchema: null,
  types: [wholeType],
  endpoints: () => [],
  connect: () => {
    throw new Error('nobody connects here')
  },
}

type Changed<T> = { readonly [K in keyof T]?: unknown }
const provider = (change: Changed<Provider>): unknown => ({ ...whole, ...change })
const type = (change: Changed<KeyType>): unknown =>
  provider({ types: [{ ...wholeType, ...change }] })
const traits = (change: Changed<TypeTraits>): unknown =>
  type({ traits: { ...wholeType.traits, ...change } })
const without = (of: object, name: string): object =>
  Object.fromEntries(Object.entries(of).filter(([member]) => member !== name))
const incident = (said: Changed<InIncident>, change: Partial<TypeTraits> = {}): unknown =>
  type({ traits: { ...wholeType.traits, ...change }, incident: said })

const pair = (halves: unknown): unknown =>
  type({ traits: { ...wholeType.traits, slot: 'pair' }, halves })

const byProvider: Partial<TypeTraits> = { material: 'provider' }
const words = {
  slot: ['multi', 'pair', 'single', 'internal'],
  staging: ['native', 'overlap', 'none'],
  undo: ['pointer', 'rollForward', 'reactivate', 'none'],
  authority: ['self', 'store'],
  revokes: ['version', 'key', 'none'],
  exactlyOnce: ['token', 'cas', 'chosenId', 'probe'],
  attribution: ['exact', 'goalMet'],
} as const
/** So that no rule between two traits is met. */
const free: Partial<TypeTraits> = { suspend: false, undo: 'none' }

describe('a provider may be used', () => {
  test.each<readonly [what: string, given: unknown]>([
    ['that is whole', whole],
    ['with a credential', provider({ credentialSchema: none })],
    ['of several types', provider({ types: [wholeType, { ...wholeType, type: 'acme.other' }] })],
    ['with a type of several parts', type({ type: 'acme.kv2.staticRole' })],
    [
      'whose system makes the material',
      type({ generate: undefined, traits: { ...wholeType.traits, ...byProvider } }),
    ],
    ['with usage', traits({ usage: { source: 'logs', lagMs: 0 } })],
    ['with limits', traits({ limits: { requestsPerSecond: 0.5, maxLiveVersions: 1 } })],
    ['that delays', traits({ lateEffectMs: 5_000, consistency: { delayMs: 1, confirmations: 3 } })],
    [
      'with every check and operation',
      traits({
        verifies: ['roundTrip', 'login', 'oldDataReadable'],
        operations: ['sign', 'encrypt', 'decrypt'],
      }),
    ],
    [
      'with what a type may have',
      type({
        suspends: () => true,
        lateEffectIn: () => 0,
        handedOut: (_at: unknown, made: unknown) => made,
      }),
    ],
    ['that is a pair with its halves', pair({ of: () => ['a', 'b'], holding: () => 'a' })],
    ['with steps by hand', type({ byHand: { steps: () => [], withinMs: () => 1 } })],
    ['that says nothing of incidents', incident({})],
    [
      'whose caches are known',
      incident({ cachedForMs: () => 1_000, proof: 'material', truth: ['It goes on.'] }),
    ],
    ['whose present version stays', incident({ currentStays: true }, { suspend: false })],
    [
      'that is ended by the next value',
      incident({ endedBy: 'mint', proof: 'asked', cachedForMs: () => 0 }, { suspend: false }),
    ],
    ['that is ended as a whole', incident({ endedBy: 'key' }, { suspend: false, revokes: 'key' })],
    ['that nobody ends', incident({ endedBy: 'nobody', truth: [] }, { suspend: false })],
  ])('%s', (_what, given) => {
    expect(faultsOfProvider(given)).toEqual([])
  })

  test.each(Object.entries(words))('with any of the words of %s', (trait, all) => {
    for (const word of all) {
      const halves = word === 'pair' ? { of: () => ['a', 'b'], holding: () => 'a' } : undefined
      const given = type({ traits: { ...wholeType.traits, ...free, [trait]: word }, halves })
      expect(faultsOfProvider(given).filter((fault) => !fault.includes('needs'))).toEqual([])
    }
  })
})

describe('it may not', () => {
  test.each<readonly [what: string, given: unknown, fault: RegExp]>([
    ['be nothing', null, /^the provider /],
    ['be a list', [], /^the provider /],
    ['be without an id', without(whole, 'id'), /^the provider .*id/],
    ['be called in capitals', provider({ id: 'Acme' }), /^\/id /],
    ['be called by more than 31 characters', provider({ id: `a${'b'.repeat(31)}` }), /^\/id /],
    ['be without a title', provider({ title: '' }), /^\/title /],
    ['have an endless title', provider({ title: 'a'.repeat(101) }), /^\/title /],
    ['be without types', provider({ types: [] }), /^\/types /],
    ['be without settings', without(whole, 'settingsSchema'), /settingsSchema/],
    [
      'have settings that are no schema',
      provider({ settingsSchema: 'none' }),
      /^\/settingsSchema /,
    ],
    ['be silent on its credential', without(whole, 'credentialSchema'), /credentialSchema/],
    [
      'have a credential that is no schema',
      provider({ credentialSchema: true }),
      /^\/credentialSchema /,
    ],
    ['have a type that is nothing', provider({ types: [null] }), /^\/types\/0 /],
    [
      'have a type without a name',
      provider({ types: [without(wholeType, 'type')] }),
      /^\/types\/0 .*type/,
    ],
    ['have a type in capitals', type({ type: 'Acme.secret' }), /^\/types\/0\/type /],
    ['have a type that ends in a dot', type({ type: 'acme.' }), /^\/types\/0\/type /],
    [
      'have a type of endless length',
      type({ type: `acme.${'a'.repeat(96)}` }),
      /^\/types\/0\/type /,
    ],
    ['have a type without a title', type({ title: '' }), /^\/types\/0\/title /],
    ['have a type with an endless title', type({ title: 'a'.repeat(101) }), /^\/types\/0\/title /],
    [
      'have a type without a ref',
      provider({ types: [without(wholeType, 'refSchema')] }),
      /refSchema/,
    ],
    [
      'have a type without parameters',
      provider({ types: [without(wholeType, 'generateSchema')] }),
      /generateSchema/,
    ],
    [
      'have a fault in the second of its types',
      provider({ types: [wholeType, { ...wholeType, title: '' }] }),
      /^\/types\/1\/title /,
    ],
    ['have steps by hand that are no object', type({ byHand: true }), /^\/types\/0\/byHand /],
    [
      'have steps by hand without an end',
      type({ byHand: { steps: () => [] } }),
      /^\/types\/0\/byHand .*withinMs/,
    ],
    [
      'have an incident of another word',
      incident({ endedBy: 'somebody' }),
      /^\/types\/0\/incident\/endedBy /,
    ],
    ['have a proof of another word', incident({ proof: 'hope' }), /^\/types\/0\/incident\/proof /],
    [
      'deny that its version stays',
      incident({ currentStays: false }),
      /^\/types\/0\/incident\/currentStays /,
    ],
    ['say an empty truth', incident({ truth: [''] }), /^\/types\/0\/incident\/truth\/0 /],
    [
      'say an endless truth',
      incident({ truth: ['a'.repeat(501)] }),
      /^\/types\/0\/incident\/truth\/0 /,
    ],
    [
      'say more than anybody reads',
      incident({ truth: Array.from({ length: 11 }, () => 'a') }),
      /^\/types\/0\/incident\/truth /,
    ],
    [
      'say of incidents what is not known',
      type({ incident: { endsBy: 'key' } }),
      /^\/types\/0\/incident must not have/m,
    ],
  ])('%s', (_what, given, fault) => {
    const faults = faultsOfProvider(given)
    expect(faults).not.toEqual([])
    expect(faults.join('\n')).toMatch(fault)
  })

  test.each(Object.keys(completed.traits))('be silent on the trait %s', (trait) => {
    const given = type({ traits: without(wholeType.traits, trait) })
    expect(faultsOfProvider(given).join('\n')).toMatch(new RegExp(`^/types/0/traits .*${trait}`))
  })

  test.each<readonly [trait: keyof TypeTraits, value: unknown]>([
    ...Object.keys(words).map((trait) => [trait as keyof typeof words, 'another'] as const),
    ['suspend', 'yes'],
    ['usage', 'logs'],
    ['usage', { source: 'logs' }],
    ['usage', { source: 'logs', lagMs: -1 }],
    ['usage', { source: 'logs', lagMs: 0, since: 0 }],
    ['lateEffectMs', -1],
    ['lateEffectMs', Number.NaN],
    ['lateEffectMs', Infinity],
    ['lateEffectMs', '5s'],
    ['consistency', { delayMs: 0, confirmations: 0 }],
    ['consistency', { delayMs: 0, confirmations: 1.5 }],
    ['consistency', { delayMs: -1, confirmations: 1 }],
    ['consistency', { delayMs: 0, confirmations: 1, every: 1 }],
    ['limits', { requestsPerSecond: 0 }],
    ['limits', { maxLiveVersions: 0 }],
    ['limits', { maxLiveVersions: 1.5 }],
    ['limits', { perSecond: 1 }],
    ['deliver', 1],
    ['publishTarget', null],
    ['publishable', 'no'],
    ['verifies', ['hope']],
    ['verifies', ['login', 'login']],
    ['operations', ['verify']],
    ['operations', ['sign', 'sign']],
    ['material', 'theirs'],
  ])('say of %s: %j', (trait, value) => {
    expect(faultsOfProvider(traits({ [trait]: value })).join('\n')).toMatch(
      new RegExp(`^/types/0/traits/${trait}`, 'm'),
    )
  })

  test('have a trait that there is not', () => {
    const given = type({ traits: { ...wholeType.traits, colour: 'red' } })
    expect(faultsOfProvider(given)).not.toEqual([])
  })

  test.each<readonly [given: unknown, fault: string]>([
    [provider({ endpoints: ['https://a'] }), '/endpoints must be a function'],
    [provider({ connect: {} }), '/connect must be a function'],
    [type({ objectId: 'a' }), '/types/0/objectId must be a function'],
    [type({ leastPrivilege: {} }), '/types/0/leastPrivilege must be a function'],
    [type({ generate: {} }), '/types/0/generate must be a function'],
    [type({ suspends: true }), '/types/0/suspends must be a function'],
    [type({ lateEffectIn: 5_000 }), '/types/0/lateEffectIn must be a function'],
    [type({ handedOut: 'a' }), '/types/0/handedOut must be a function'],
    [
      type({ byHand: { steps: ['a'], withinMs: () => 1 } }),
      '/types/0/byHand/steps must be a function',
    ],
    [
      type({ byHand: { steps: () => [], withinMs: 1 } }),
      '/types/0/byHand/withinMs must be a function',
    ],
    [incident({ cachedForMs: 5 }), '/types/0/incident: cachedForMs must be a function'],
    [type({ type: 'vault.secret' }), '/types/0/type must begin with "acme."'],
    [type({ type: 'acmes.secret' }), '/types/0/type must begin with "acme."'],
    [type({ type: 'acme' }), '/types/0/type must begin with "acme."'],
    [
      type({ generate: undefined }),
      '/types/0/generate must be there if, and only if, traits.material is "ours"',
    ],
    [
      traits(byProvider),
      '/types/0/generate must be there if, and only if, traits.material is "ours"',
    ],
    [traits({ revokes: 'key' }), '/types/0/traits/suspend needs revokes "version"'],
    [traits({ revokes: 'none' }), '/types/0/traits/suspend needs revokes "version"'],
    [traits({ staging: 'overlap' }), '/types/0/traits/undo "pointer" needs staging "native"'],
    [traits({ staging: 'none' }), '/types/0/traits/undo "pointer" needs staging "native"'],
    [
      incident({ endedBy: 'key' }, { suspend: false }),
      '/types/0/incident: endedBy "key" needs revokes "key"',
    ],
    [
      incident({ endedBy: 'mint' }),
      '/types/0/incident: endedBy is for types whose versions cannot be switched off: suspend must be false',
    ],
    [
      incident({ endedBy: 'mint', currentStays: true }, { suspend: false }),
      '/types/0/incident: currentStays says nothing beside endedBy',
    ],
    [
      incident({ endedBy: 'nobody', proof: 'asked' }, { suspend: false }),
      '/types/0/incident: what nobody can end has no proof, and no caches',
    ],
    [
      incident({ endedBy: 'nobody', cachedForMs: () => 1 }, { suspend: false }),
      '/types/0/incident: what nobody can end has no proof, and no caches',
    ],
    [
      provider({ types: [wholeType, { ...wholeType, title: 'Other' }] }),
      '/types/1/type "acme.secret" is declared twice',
    ],
  ])('be told nothing but that: %#', (given, fault) => {
    expect(faultsOfProvider(given)).toEqual([fault])
  })
})

test('whatever a module makes, it is judged and nothing is thrown', () => {
  const drawn = fc.anything({ withNullPrototype: true })
  const member = fc.constantFrom(...Object.keys(whole), ...Object.keys(wholeType))
  fc.assert(
    fc.property(drawn, member, (value, name) => {
      expect(faultsOfProvider(value)).not.toEqual([])
      expect(Array.isArray(faultsOfProvider(provider({ [name]: value })))).toBe(true)
      expect(Array.isArray(faultsOfProvider(type({ [name]: value })))).toBe(true)
    }),
  )
})
