// Every "somebody else" of Rekey is asked here: who approves, overrides, arms or reviews is another person than whoever asked, and
// than whoever said so before (docs/adr/0026). One look at the database, however many are compared.

import type { Actor } from '#domain/actor.ts'
import { type ErrorCode, RekeyError } from '#domain/errors.ts'
import { differentPeople, type Kinship, kinshipOf } from '#domain/person.ts'
import type { Reads } from '#domain/ports.ts'

type MakerReads = Pick<Reads, 'apiKeys'>

interface Saying {
  readonly principalId: string
}

export interface Asking {
  readonly id: string
  /** As in "You opened this incident". */
  readonly did: string
}

export interface Another {
  /** Whoever it was that asked. */
  readonly asking: readonly Asking[]
  /** Whoever has said so already, and is counted. */
  readonly said?: readonly Saying[]
  readonly code: ErrorCode & `${string}.selfApproval`
}

/** Throws where the actor is no other person than one of those, and says how that is known. */
export const mustBeAnother = async (
  db: MakerReads,
  actor: Pick<Actor, 'id'>,
  { asking, said = [], code }: Another,
): Promise<void> => {
  const own = { principalId: actor.id }
  const { makers } = await makersOf(db, [own, ...said], asking)
  for (const { id, did } of asking) {
    const kinship = kinshipOf(makers, actor.id, id)
    if (kinship !== null) throw refusal(code, kinship, did)
  }
  // The same principal twice is told by what keeps its word.
  if (said.some(({ principalId }) => principalId === actor.id)) return
  if (differentPeople(makers, [...said, own]).includes(own)) return
  const [kinship] = said.flatMap(({ principalId }) => {
    const found = kinshipOf(makers, actor.id, principalId)
    return found === null ? [] : [found]
  })
  throw refusal(code, kinship ?? 'siblings', 'said so already')
}

interface Said extends Saying {
  readonly at: Date
}

/** Of what was said, once for each person who is none of those that asked. It counts as long as whoever said it would be let in with
 *  what they said it with: not once that token was deleted or has ended, nor where an admin has ended their sessions since. It may
 *  have been somebody else's by then. */
export const byDifferentPeople = async <T extends Said>(
  db: MakerReads,
  said: readonly T[],
  asking: readonly Pick<Asking, 'id'>[] = [],
): Promise<readonly T[]> => {
  if (said.length === 0) return said
  const { makers, over, takenBack } = await makersOf(db, said, asking)
  const standing = said.filter(({ principalId, at }) => {
    const back = takenBack.get(principalId)
    return !over.has(principalId) && (back === undefined || at > back)
  })
  return differentPeople(
    makers,
    standing,
    asking.map(({ id }) => id),
  )
}

/** Whether the actor has said it and that still counts. Where it does not, they may say it anew. */
export const hasSaid = async (
  db: MakerReads,
  actor: Pick<Actor, 'id'>,
  said: readonly Said[],
): Promise<boolean> => {
  const own = said.filter(({ principalId }) => principalId === actor.id)
  return (await byDifferentPeople(db, own)).length > 0
}

const makersOf = (
  db: MakerReads,
  said: readonly Saying[],
  asking: readonly Pick<Asking, 'id'>[],
): ReturnType<MakerReads['apiKeys']['makers']> =>
  db.apiKeys.makers([...said.map(({ principalId }) => principalId), ...asking.map(({ id }) => id)])

const texts: Readonly<Record<Kinship, (did: string) => string>> = {
  same: (did) => `You ${did}.`,
  made: (did) => `Your token made that of whoever ${did}, so that it may be in your hands.`,
  madeBy: (did) => `Whoever ${did} made your token, and may have it.`,
  siblings: (did) => `Your token and that of whoever ${did} come from one hand.`,
}

const refusal = (code: Another['code'], kinship: Kinship, did: string): RekeyError =>
  new RekeyError(code, {
    detail: texts[kinship](did),
    hint: 'Ask somebody whose token comes from elsewhere: one that the first admin key made for them, or who signs in with OIDC.',
    extra: { kinship },
  })
