// What an incident would do with one version in use, of every type that there is. A new type fails here until its row is written.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { incidentModes, type ContainedKey } from '#domain/incident.ts'
import { type Version, versionStates } from '#domain/key.ts'
import { type ContainmentFacts, planContainment, versionsMeant } from '#domain/plan-containment.ts'
import { defaultPolicy } from '#domain/policy.ts'
import type { KeyType } from '#domain/provider.ts'
import { keyTypes } from '#providers/registry.ts'
import { at, completed } from './key-facts.ts'

const madeUp: readonly KeyType[] = [
  {
    ...typeOf('local.secret'),
    type: 'outside.keepsAll',
    traits: { ...typeOf('local.secret').traits, suspend: false, revokes: 'none' },
  },
]

function typeOf(name: string): KeyType {
  const type = keyTypes.get(name)
  if (!type) throw new Error(`no type ${name}`)
  return type
}

const version = (number: number, more: Partial<Version> = {}): Version => ({
  keyId: 'k1',
  version: number,
  state: 'active',
  primary: false,
  providerVersions: [String(number)],
  materialKnown: true,
  fingerprint: null,
  sealedId: null,
  rotationId: null,
  verifiedAt: at(1),
  createdAt: at(number),
  activatedAt: at(1),
  suspendedAt: null,
  deactivatedAt: null,
  compromisedAt: null,
  destroyedAt: null,
  ...more,
})

/** Of any type: whether its object can be switched off for a while is said by `suspend`, or by the steps of a person. */
const refOf = (suspends: boolean) => ({
  suspend: suspends,
  users: ['app_a', 'app_b'],
  description: 'a key',
  steps: [{ when: suspends ? 'suspend' : 'retire', do: 'switch it off' }],
})

const facts = (type: KeyType, more: Partial<ContainmentFacts> = {}): ContainmentFacts => ({
  mode: 'revokeFirst',
  breakGlass: false,
  key: { ...completed.key, type: type.type, ref: refOf(true) },
  type,
  connection: { settings: { issuer: 'https://id.example.com' }, revision: 3, address: '' },
  versions: [version(1, { primary: true })],
  chosen: new Set([1]),
  openRotation: null,
  policy: defaultPolicy,
  policyRevision: null,
  losesAccess: [],
  ...more,
})

const [suspend, destroy, replace, key, byHand, none] = [
  ['suspend', 'suspend', 'suspend', 'suspend'],
  ['none', 'destroy', 'destroy', 'destroy'],
  ['none', 'replace', 'replace', 'none'],
  ['switchOffKey', 'switchOffKey', 'switchOffKey', 'switchOffKey'],
  ['byHand', 'byHand', 'byHand', 'byHand'],
  ['none', 'none', 'none', 'none'],
]

/** By mode (disable, rotateFast, revokeFirst, revokeOnly); what can be proven, and of one whose value is not known here. */
const table = [
  ['local.secret', suspend, 'refused', 'refused'],
  ['local.key', suspend, 'refused', 'refused'],
  ['jwks.signing', suspend, 'refusedAfter', 'refusedAfter'],
  ['vault.kv2.secret', suspend, 'refused', 'refused'],
  ['vault.transit.key', none, 'unproven', 'unproven'],
  ['vault.database.staticRole', replace, 'refused', 'refused'],
  ['vault.approle.secretId', destroy, 'unproven', 'unproven'],
  ['vault.pki.issuer', suspend, 'refused', 'refused'],
  ['postgres.user', suspend, 'refused', 'unproven'],
  ['aws.secretsmanager.secret', replace, 'refused', 'refused'],
  ['aws.iam.accessKey', suspend, 'refused', 'unproven'],
  ['aws.kms.symmetric', key, 'refused', 'refused'],
  ['aws.kms.alias', suspend, 'refused', 'refused'],
  ['azure.keyvault.secret', suspend, 'refused', 'refused'],
  ['azure.keyvault.key', suspend, 'refused', 'refused'],
  ['azure.keyvault.certificate', suspend, 'refused', 'refused'],
  ['doppler.secret', ['none', 'replace', 'replace', 'destroy'], 'refused', 'refused'],
  ['doppler.serviceToken', destroy, 'refused', 'unproven'],
  ['file', ['none', 'replace', 'replace', 'destroy'], 'refused', 'refused'],
  ['manual.credential', byHand, 'unproven', 'unproven'],
  ['pkcs11.key', suspend, 'refused', 'refused'],
] as const

const only = (plan: ContainedKey) => {
  const [one] = plan.versions
  if (!one) throw new Error('nothing is contained')
  return one
}

describe('every type', () => {
  test('has a row', () => {
    expect(table.map(([name]) => name).toSorted()).toEqual([...keyTypes.keys()].toSorted())
  })

  test.each(table)('%s', (name, containments, expected, unknown) => {
    const type = typeOf(name)
    const found = incidentModes.map((mode) => only(planContainment(facts(type, { mode }))))
    expect(found.map(({ containment }) => containment)).toEqual(containments)
    const proofs = found.filter(({ containment }) => containment !== 'none')
    expect(new Set(proofs.map(({ expect: proof }) => proof))).toEqual(
      new Set(proofs.length === 0 ? [] : [expected]),
    )
    const versions = [version(1, { primary: true, materialKnown: false })]
    const blind = incidentModes
      .map((mode) => only(planContainment(facts(type, { mode, versions }))))
      .filter(({ containment }) => containment !== 'none')
    expect(blind.every(({ expect: proof }) => proof === unknown)).toBe(true)
  })

  test('where nothing can be sent, or what is sent never comes back, the plan says why', () => {
    for (const type of [...keyTypes.values(), ...madeUp])
      for (const mode of incidentModes) {
        const one = only(planContainment(facts(type, { mode })))
        if (!one.reversible) expect(one.why, `${type.type} ${mode}`).toMatch(/\.$/)
      }
  })
})

describe('for all types, versions and sets', () => {
  const numbers = [1, 2, 3, 4]
  const world = fc.record({
    type: fc.constantFrom(...keyTypes.values(), ...madeUp),
    breakGlass: fc.boolean(),
    mode: fc.constantFrom(...incidentModes),
    suspends: fc.boolean(),
    versions: fc.array(
      fc.record({
        state: fc.constantFrom(...versionStates),
        materialKnown: fc.boolean(),
        verified: fc.boolean(),
      }),
      { minLength: 1, maxLength: 4 },
    ),
    primary: fc.constantFrom(null, ...numbers),
    chosen: fc.uniqueArray(fc.constantFrom(...numbers)),
    made: fc.constantFrom(null, ...numbers),
  })
  const drawn = fc.record({ world }).map(({ world: given }) => {
    const versions = given.versions.map(({ state, materialKnown, verified }, i) =>
      version(i + 1, {
        state,
        materialKnown,
        verifiedAt: verified ? at(1) : null,
        primary: state === 'active' && given.primary === i + 1,
      }),
    )
    return facts(given.type, {
      mode: given.mode,
      breakGlass: given.breakGlass,
      key: { ...completed.key, type: given.type.type, ref: refOf(given.suspends) },
      versions,
      chosen: new Set(given.chosen),
      openRotation: given.made === null ? null : { id: 'r1', toVersion: given.made },
    })
  })
  const forAll = (promise: (plan: ContainedKey, of: ContainmentFacts) => void) =>
    fc.assert(
      fc.property(drawn, (of) => promise(planContainment(of), of)),
      { numRuns: 2_000 },
    )

  test('the mode disable does nothing that does not come back', () => {
    forAll((plan, { mode }) => {
      if (mode !== 'disable') return
      for (const { containment, reversible } of plan.versions)
        expect(reversible || containment === 'none').toBe(true)
    })
  })

  test('a token to break glass with destroys nothing', () => {
    forAll((plan, { breakGlass, type }) => {
      if (!breakGlass) return
      for (const one of plan.versions) {
        expect(one.containment).not.toBe('destroy')
        if (type.byHand) expect(one.reversible || one.containment === 'none').toBe(true)
      }
    })
  })

  test('exactly the versions of the set are contained', () => {
    forAll((plan, { versions, chosen }) => {
      expect(plan.versions.map((one) => one.version)).toEqual(
        versions.map((one) => one.version).filter((number) => chosen.has(number)),
      )
    })
  })

  test('what serves afterwards is neither in the set nor untried, nor of a key that is off as a whole', () => {
    forAll((plan, { versions, chosen, type }) => {
      const next = versions.find((one) => one.version === plan.replacementVersion)
      if (plan.replacementVersion === null) return
      expect(chosen.has(plan.replacementVersion)).toBe(false)
      expect(next?.primary === true || next?.verifiedAt !== null).toBe(true)
      expect(['active', 'preActivation']).toContain(next?.state)
      if (type.incident?.endedBy === 'key') expect(plan.replacement).toBe('none')
    })
  })

  test('only modes that replace make a new version, and none where the primary stays', () => {
    forAll((plan, { mode, versions, chosen }) => {
      const primary = versions.find((one) => one.primary)
      if (plan.replacement !== 'new') return
      expect(['rotateFast', 'revokeFirst']).toContain(mode)
      expect(primary === undefined || chosen.has(primary.version)).toBe(true)
    })
  })
})

describe('what serves afterwards', () => {
  const local = typeOf('local.secret')
  const two = [version(1, { primary: true }), version(2, { state: 'preActivation' })]

  test('a new version of an open rotation, once it is proven and not itself in the set', () => {
    const openRotation = { id: 'r1', toVersion: 2 }
    expect(planContainment(facts(local, { versions: two, openRotation }))).toMatchObject({
      replacement: 'openRotation',
      replacementVersion: 2,
      openRotation: 'r1',
    })
    const untried = [two[0] ?? version(1), version(2, { state: 'preActivation', verifiedAt: null })]
    expect(planContainment(facts(local, { versions: untried, openRotation }))).toMatchObject({
      replacement: 'new',
    })
    const leaked = facts(local, { versions: two, openRotation, chosen: new Set([1, 2]) })
    expect(planContainment(leaked)).toMatchObject({ replacement: 'new', replacementVersion: null })
  })

  test('the primary, where only an older version leaked', () => {
    const versions = [version(1, { state: 'deactivated' }), version(2, { primary: true })]
    expect(planContainment(facts(local, { versions }))).toMatchObject({
      replacement: 'existing',
      replacementVersion: 2,
      warnings: [expect.stringMatching(/store/)],
    })
  })

  test('nothing, of a key that its provider rotates: the plan says so', () => {
    const native = facts(local, { key: { ...completed.key, observe: 'native' } })
    const plan = planContainment(native)
    expect(plan.replacement).toBe('none')
    expect(plan.warnings.join('\n')).toMatch(/nothing serves afterwards[\s\S]*rotates it by itself/)
  })
})

describe('the versions that are meant', () => {
  const versions = [
    version(1, { state: 'destroyed' }),
    version(2, { state: 'compromised' }),
    version(3, { state: 'compromised' }),
    version(4, { state: 'deactivated' }),
    version(5, { primary: true }),
    version(6, { state: 'preActivation' }),
  ]
  const meant = (
    selector: Parameters<typeof versionsMeant>[0],
    slot: 'multi' | 'pair' = 'multi',
  ) => [...versionsMeant(selector, { name: 'orders' }, versions, ({ version: n }) => n === 2, slot)]

  test('all that the provider may accept still, and what was compromised and never seen refused', () => {
    expect(meant({ keys: ['orders'] })).toEqual([3, 4, 5])
  })
  test('exactly those that are named, whatever their state', () => {
    expect(
      meant({
        versions: [
          { key: 'orders', version: 6 },
          { key: 'orders', version: 1 },
          { key: 'others', version: 4 },
        ],
      }),
    ).toEqual([1, 6])
  })
  test('of a pair the other half too, unless that is not wanted, or nobody can have any of it any more', () => {
    const named = (number: number) => ({ versions: [{ key: 'orders', version: number }] })
    expect(meant(named(4), 'pair')).toEqual([4, 3, 5])
    expect(meant({ ...named(4), pairs: 'both' }, 'pair')).toEqual([4, 3, 5])
    expect(meant({ ...named(4), pairs: 'meant' }, 'pair')).toEqual([4])
    expect(meant(named(1), 'pair')).toEqual([1])
    expect(meant({ versions: [{ key: 'others', version: 4 }] }, 'pair')).toEqual([])
    expect(meant(named(4))).toEqual([4])
  })
  test('of a span of creation also what is not proven yet; its end is not in it', () => {
    const createdAfter = at(5).toISOString()
    expect(meant({ createdAfter })).toEqual([5, 6])
    expect(meant({ createdAfter, createdBefore: at(6).toISOString() })).toEqual([5])
  })
})
