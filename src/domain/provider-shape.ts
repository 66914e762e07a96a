// What a provider declares, as a schema: for those that come from outside, where no compiler has looked. What a type promises
// and what it does is for the contract suite to say.

import { Type, type Static } from 'typebox'
import { Check, Errors } from 'typebox/value'
import type { InIncident, KeyType, Provider, TypeTraits } from './provider.ts'

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

const incidentShape = Type.Object(
  {
    endedBy: Type.Optional(Type.Enum(['key', 'mint', 'nobody'])),
    requestsAtOnce: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    currentStays: Type.Optional(Type.Literal(true)),
    cachedForMs: Type.Optional(func),
    proof: Type.Optional(Type.Enum(['material', 'asked'])),
    truth: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { maxItems: 10 }),
    ),
  },
  strict,
)
type Declared = Omit<Static<typeof incidentShape>, 'cachedForMs' | 'truth'>
const _incident = (shape: Declared): Omit<InIncident, 'cachedForMs' | 'truth'> => shape
const _wholeIncident = (incident: Omit<InIncident, 'cachedForMs' | 'truth'>): Declared => incident
const _named = (name: keyof InIncident): keyof Static<typeof incidentShape> => name
void [_incident, _wholeIncident, _named]

const typeShape = Type.Object({
  type: Type.String({ pattern: '^[a-z][A-Za-z0-9]*(?:\\.[A-Za-z][A-Za-z0-9]*)*$', maxLength: 100 }),
  title: Type.String({ minLength: 1, maxLength: 100 }),
  traits: traitsShape,
  refSchema: schema,
  generateSchema: schema,
  objectId: func,
  leastPrivilege: func,
  generate: Type.Optional(func),
  suspends: Type.Optional(func),
  lateEffectIn: Type.Optional(func),
  handedOut: Type.Optional(func),
  byHand: Type.Optional(Type.Object({ steps: func, withinMs: func })),
  halves: Type.Optional(Type.Object({ of: func, holding: func })),
  incident: Type.Optional(incidentShape),
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
    ...provider.types.flatMap(({ type }, i) =>
      provider.types.findIndex((other) => other.type === type) < i
        ? [`/types/${i}/type "${type}" is declared twice`]
        : [],
    ),
  ]
}

/** What a type may leave out; called in the middle of a rotation where it is there. */
const whereThere = ['generate', 'suspends', 'lateEffectIn', 'handedOut'] as const

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
      ['objectId', 'leastPrivilege', ...whereThere.filter((name) => type[name] !== undefined)],
      at,
    ),
    ...(type.byHand ? functionsOf(type.byHand, ['steps', 'withinMs'], `${at}/byHand`) : []),
    ...(type.halves ? functionsOf(type.halves, ['of', 'holding'], `${at}/halves`) : []),
    ...((type.halves !== undefined) === (traits.slot === 'pair')
      ? []
      : [`${at}/halves must be there if, and only if, traits.slot is "pair"`]),
    ...(type.incident ? faultsInIncident(type, type.incident, at) : []),
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

/** What an incident would be told wrong by: what it shows before it is done would not be what comes of it. */
const faultsInIncident = (
  { traits }: KeyType,
  incident: InIncident,
  typeAt: string,
): readonly string[] => {
  const at = `${typeAt}/incident`
  const faults: readonly (readonly [wrong: boolean, says: string])[] = [
    [
      incident.cachedForMs !== undefined && typeof incident.cachedForMs !== 'function',
      'cachedForMs must be a function',
    ],
    [incident.endedBy === 'key' && traits.revokes !== 'key', 'endedBy "key" needs revokes "key"'],
    [
      incident.endedBy !== undefined && traits.suspend,
      'endedBy is for types whose versions cannot be switched off: suspend must be false',
    ],
    [
      incident.endedBy !== undefined && incident.currentStays === true,
      'currentStays says nothing beside endedBy',
    ],
    [
      incident.endedBy === 'nobody' &&
        (incident.proof !== undefined || incident.cachedForMs !== undefined),
      'what nobody can end has no proof, and no caches',
    ],
  ]
  return faults.flatMap(([wrong, says]) => (wrong ? [`${at}: ${says}`] : []))
}
