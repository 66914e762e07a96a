// What an emergency does to a key of each type, for docs/reference/key-types.md: planned as an incident plans it, for one present
// version whose value is known, so that the page cannot say anything else than the preview.

import { planContainment } from '#domain/plan-containment.ts'
import type { ContainedVersion, IncidentMode } from '#domain/incident.ts'
import { defaultPolicy } from '#domain/policy.ts'
import type { KeyType, Provider } from '#domain/provider.ts'
import { keyNamed, versionOf } from '#test/store/records.ts'

const key = keyNamed('', '')
const version = versionOf('', 1, {
  state: 'active',
  primary: true,
  providerVersions: ['1'],
  materialKnown: true,
})

const planned = (type: KeyType, mode: IncidentMode): ContainedVersion | undefined => {
  // A ref may say less (`suspends`), or names halves; here the type's own word counts, and there is one version.
  const { suspends: _byRef, halves: _ofPair, byHand, ...rest } = type
  const whole = byHand ? { ...rest, byHand: { ...byHand, steps: () => ['its checklist'] } } : rest
  return planContainment({
    mode,
    breakGlass: false,
    key,
    type: whole,
    connection: { settings: {}, revision: 1, address: '' },
    versions: [version],
    chosen: new Set([1]),
    openRotation: null,
    policy: defaultPolicy,
    policyRevision: null,
    losesAccess: [],
  }).versions[0]
}

const done: Readonly<Record<ContainedVersion['containment'], string>> = {
  suspend: 'switched off',
  destroy: 'destroyed',
  switchOffKey: 'the whole key is switched off',
  replace: 'its replacement ends it',
  byHand: 'by hand',
  none: 'nothing',
}

const proofs: Readonly<Record<ContainedVersion['expect'], string>> = {
  refused: '`refused`: tried',
  refusedAfter: '`refusedAfter`: tried, and again when caches are over',
  unproven: '`unproven`',
}

export const emergencyHead = ['type', '`disable`', '`revokeFirst`', 'proof', 'to know']

export const emergencyRows = ({ types }: Provider): readonly (readonly string[])[] =>
  types.map((type) => {
    const off = planned(type, 'disable')
    const gone = planned(type, 'revokeFirst')
    const known =
      type.incident?.proof === 'material' ? '; where Rekey does not know the value: `unproven`' : ''
    return [
      `\`${type.type}\``,
      off ? done[off.containment] : '–',
      gone ? done[gone.containment] : '–',
      gone && gone.containment !== 'none' ? `${proofs[gone.expect]}${known}` : '–',
      [gone?.why ?? '', ...(type.incident?.truth ?? [])].filter((text) => text !== '').join(' ') ||
        '–',
    ]
  })
