// Who is another person (docs/adr/0026). A principal is a token of Rekey's own, or somebody who came with a JWT. Whoever makes a
// token has held it, so that it is theirs, and so is what is made with it: a person is all that comes from one hand. From the
// first admin key everything may come: what it makes is in other hands by then. It is no other person than those, all the same.

/** By the id of a token: who made it. For whoever is asked about, and for all that they come from. */
export type Makers = ReadonlyMap<string, string>

/** same: one principal. made: the first has made the second. madeBy: the other way round. siblings: one hand made both. */
export type Kinship = 'same' | 'made' | 'madeBy' | 'siblings'

/** Null: they are two people. */
export const kinshipOf = (makers: Makers, one: string, other: string): Kinship | null => {
  if (one === other) return 'same'
  const [a, b] = [lineOf(makers, one), lineOf(makers, other)]
  if (isFirst(a) && isFirst(b)) return 'siblings'
  if (holds(b, one) || (isFirst(a) && b.first)) return 'made'
  if (holds(a, other) || (isFirst(b) && a.first)) return 'madeBy'
  return a.person === b.person ? 'siblings' : null
}

/**
 * One of each person, the earliest, but for those who are no others than `asking`. A first admin key counts where nobody counts
 * whose token it made.
 */
export const differentPeople = <T extends { readonly principalId: string }>(
  makers: Makers,
  said: readonly T[],
  asking: readonly string[] = [],
): readonly T[] => {
  const rank = ({ principalId }: T): number => (isFirst(lineOf(makers, principalId)) ? 1 : 0)
  const counted = new Set<T>()
  for (const one of said.toSorted((a, b) => rank(a) - rank(b))) {
    const others = [...asking, ...[...counted].map(({ principalId }) => principalId)]
    if (others.every((other) => kinshipOf(makers, one.principalId, other) === null))
      counted.add(one)
  }
  return said.filter((one) => counted.has(one))
}

interface Line {
  /** The principal, whoever made its token, who made theirs, and so on. */
  readonly ids: readonly string[]
  /** Whether it ends at a key that Rekey itself has made. */
  readonly first: boolean
  /** What all that comes from one hand has in common. */
  readonly person: string
}

const bySystem = 'system:'

const lineOf = (makers: Makers, principal: string): Line => {
  const ids = [principal]
  for (;;) {
    const last = ids.at(-1) ?? principal
    const maker = makers.get(last)
    const first = maker?.startsWith(bySystem) === true
    if (maker === undefined || first || ids.includes(maker)) {
      const person = first ? (ids.at(-2) ?? bySystem) : last
      return { ids, first, person }
    }
    ids.push(maker)
  }
}

const holds = ({ ids }: Line, id: string): boolean => ids.includes(id)

/** The first admin key, or one that took its place. */
const isFirst = ({ ids, first }: Line): boolean => first && ids.length === 1
