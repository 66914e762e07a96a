import { ProviderError, type Call } from '#domain/provider.ts'
import { readHalves, type Half } from './roles.ts'
import type { At, Wire } from './wire.ts'

export interface PairAt extends At {
  readonly wire: Wire
}

export type Pair = readonly [Half, Half]

/** Both of them. Throws `notFound` where neither exists, and `precondition` where one is missing. */
export const pairOf = async (
  at: PairAt,
  users: readonly [string, string],
  call: Call,
): Promise<Pair> => {
  const [first, second] = await readHalves(at, users, call)
  if (first === undefined)
    throw new ProviderError('notFound', 'none', 'the server has neither user of the pair')
  if (second === undefined)
    throw new ProviderError('precondition', 'none', 'the server has only one user of the pair', {
      hint: `make the other one, with the same memberships as ${first.name}: CREATE ROLE … NOLOGIN`,
    })
  return [first, second]
}

export const halfOf = (pair: Pair, user: string): Half | null =>
  pair.find(({ name }) => name === user) ?? null
