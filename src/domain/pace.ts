// How many requests a second a connection may send, over all processes of an installation.

import { Type } from 'typebox'
import type { JsonObject } from './json.ts'
import type { Provider } from './provider.ts'

/** Among the settings of a connection; the same name and meaning in every provider that has it. */
export const requestsPerSecondSchema = Type.Integer({
  description:
    'Requests a second that Rekey sends over this connection at most, all its processes together. As many as it likes, unless told.',
  minimum: 1,
  maximum: 10_000,
})

/** As the connection says, else as its provider's types declare: the least of them, since they share one account. */
export const declaredPace = (
  { types }: Pick<Provider, 'types'>,
  settings: JsonObject,
): number | null => {
  const { requestsPerSecond: told } = settings
  if (typeof told === 'number') return told
  const declared = types.flatMap(({ traits }) => traits.limits.requestsPerSecond ?? [])
  return declared.length === 0 ? null : Math.min(...declared)
}
