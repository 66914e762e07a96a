// The sentence with which a person is asked for an effect that has no API. It names Rekey's own version numbers, which the
// checklist cannot know.

import type { HandEffect, HandStep } from '#domain/by-hand.ts'
import type { Rotation } from '#domain/rotation.ts'
import type { Scene } from './rotation-scene.ts'

/** Part of an effect's spec; nothing where the provider is asked itself. */
export const byHand = (
  { type, from, to }: Pick<Scene, 'type' | 'from' | 'to'>,
  { plan }: Rotation,
  effect: HandEffect,
  providerVersion?: string,
  wanted?: string,
): { readonly byHand?: HandStep } => {
  if (!type.byHand) return {}
  const { ref, name } = plan.key
  const named = [from, to].find(
    (version) =>
      providerVersion !== undefined && version?.providerVersions.includes(providerVersion),
  )
  const old = `version ${from?.version ?? '–'}`
  const it = named ? `version ${named.version}` : 'the version that was made in vain'
  const sentences = {
    mint: `make a new credential for ${name}, beside ${old}`,
    promote: `hand out version ${to?.version} of ${name} in place of ${old}`,
    swapBack: `hand out ${old} of ${name} again, in place of version ${to?.version}`,
    suspend: `switch ${it} of ${name} off, so that it can be switched on again`,
    reinstate: `switch ${it} of ${name} on again`,
    retire:
      wanted === 'destroyed' ? `delete ${it} of ${name}` : `switch ${it} of ${name} off for good`,
    removeNew: `delete ${it} of ${name}: it is not to be used`,
  } satisfies Record<HandEffect, string>
  return {
    byHand: {
      asks: sentences[effect],
      steps: type.byHand.steps(ref, effect),
      withinMs: type.byHand.withinMs(ref),
    },
  }
}
