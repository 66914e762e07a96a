// What a provider declares, as a schema: for those that come from outside, where no compiler has looked. What a type promises
// and what it does is for the contract suite to say.

import { Type, type Static } from 'typebox'
import { Check, Errors } from 'typebox/value'
import type { KeyType, Provider, TypeTraits } from './provider.ts'

const strict = { additionalProperties: false } as const
const positive = Type.Number({ minimum: 0 })

const traitsShape = Type.Object(
  {
    slot: Type.Enum(['multi', 'pair', 'single', 'internal']),
    staging: Type.Enum(['native', 'overlap', 'none']),
    undo: Type.Enum(['pointer', 'rollForward', 'reactivate', 'none']),
    authority: Type.Enum(['self', 'store']),
    revokes: Type.Enum(['version', 'key', 'none']),
    suspend: Type.Boolean(),
    exactlyOnce: Type.Enum(['token', 'cas', 'chosenId', 'probe']),
    attribution: Type.Enum(['exact', 'goalMet']),
    usage: Type.Union([
      Type.Null(),
      Type.Object({ source: Type.String(), lagMs: positive }, strict),
    ]),
    lateEffectMs: positive,
    consistency: Type.Object(
      { delayMs: positive, confirmations: Type.Integer({ minimum: 1 }) },
      strict,
    ),
    limits: Type.Object(
      {
        requestsPerSecond: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
        maxLiveVersions: Type.Optional(Type.Integer({ minimum: 1 })),
      },
      strict,
    ),
    deliver: Type.Boolean(),
    material: Type.Enum(['ours', 'provider']),
    publishTarget: Type.Boolean(),
    publishable: Type.Boolean(),
    verifies: Type.Array(Type.Enum(['roundTrip', 'login', 'oldDataReadable']), {
      uniqueItems: true,
    }),
    operations: Type.Array(Type.Enum(['sign', 'encrypt', 'decrypt']), { uniqueItems: true }),
  },
  strict,
)

// Both ways: a trait that is there and not here, or says another thing, does not compile.
type Shape = Static<typeof traitsShape>
type Lists = 'verifies' | 'operations'
const _known = (shape: Shape): TypeTraits => shape
const _whole = (traits: Omit<TypeTraits, Lists>): Omit<Shape, Lists> => traits
void [_known, _whole]

const schema = Type.Object({})
const func = Type.Any()

const typeShape = Type.Object({
  type: Type.String({ pattern: '^[a-z][A-Za-z0-9]*(?:\\.[A-Za-z][A-Za-z0-9]*)*$', maxLength: 100 }),
  title: Type.String({ minLength: 1, maxLength: 100 }),
  traits: traitsShape,
  refSchema: schema,
  generateSchema: schema,
  objectId: func,
  leastPrivilege: func,
  generate: Type.Optional(func),
})

const providerShape = Type.Object({
  id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,30}$' }),
  title: Type.String({ minLength: 1, maxLength: 100 }),
  settingsSchema: schema,
  credentialSchema: Type.Union([Type.Null(), schema]),
  types: Type.Array(typeShape, { minItems: 1 }),
  endpoints: func,
  connect: func,
})

/** Sentences; empty: it may be used. */
export const faultsOfProvider = (given: unknown): readonly string[] => {
  if (!Check(providerShape, given))
    return Errors(providerShape, given).map(
      ({ instancePath, message }) =>
        `${instancePath === '' ? 'the provider' : instancePath} ${message}`,
    )
  const provider = given as unknown as Provider
  return [
    ...functionsOf(provider, ['endpoints', 'connect'], ''),
    ...provider.types.flatMap((type, i) => faultsOfType(type, `/types/${i}`, provider.id)),
  ]
}

const functionsOf = <T extends object>(of: T, names: readonly (keyof T & string)[], at: string) =>
  names.flatMap((name) =>
    typeof of[name] === 'function' ? [] : [`${at}/${name} must be a function`],
  )

const faultsOfType = (type: KeyType, at: string, id: string): readonly string[] => {
  const { traits } = type
  const makes = type.generate !== undefined
  return [
    ...functionsOf(
      type,
      ['objectId', 'leastPrivilege', ...(makes ? (['generate'] as const) : [])],
      at,
    ),
    ...(type.type.startsWith(`${id}.`) ? [] : [`${at}/type must begin with "${id}."`]),
    ...(makes === (traits.material === 'ours')
      ? []
      : [`${at}/generate must be there if, and only if, traits.material is "ours"`]),
    ...(traits.suspend && traits.revokes !== 'version'
      ? [`${at}/traits/suspend needs revokes "version"`]
      : []),
    ...(traits.undo === 'pointer' && traits.staging !== 'native'
      ? [`${at}/traits/undo "pointer" needs staging "native"`]
      : []),
  ]
}
