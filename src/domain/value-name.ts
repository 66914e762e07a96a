// Names of values, where a system numbers no versions: 24 hex digits, drawn from the fingerprint of object and value together, so
// that equal values of two objects have two names, and no name is the fingerprint that the version itself has. A name says which
// pepper it was made with: `p2-` and so on before it; without, it is of the first, as all names were once.

import { bytesOfFingerprint, pepperOf } from './fingerprint.ts'
import { lastPepper } from './pepper.ts'
import type { Keyring } from './ports.ts'
import type { Material } from './provider.ts'
import { revealBytes, Secret } from './secret.ts'

/** All that a value of the object may be known by, under each pepper in use, the present one first. */
export const namesOfValue = (
  keyring: Pick<Keyring, 'fingerprints'>,
  object: string,
  value: Material,
): readonly [string, ...string[]] => {
  const [first, ...others] = keyring.fingerprints(named(object, value))
  return [nameFrom(first), ...others.map(nameFrom)]
}

const named = (object: string, value: Material): Secret<Uint8Array> =>
  new Secret(
    new Uint8Array(
      Buffer.concat([
        Buffer.from(`rekey-name-v1\n${JSON.stringify(object)}\n`),
        revealBytes(value),
      ]),
    ),
  )

const nameFrom = (fingerprint: Parameters<typeof pepperOf>[0]): string => {
  const hex = Buffer.from(bytesOfFingerprint(fingerprint).subarray(1, 13)).toString('hex')
  const number = pepperOf(fingerprint)
  return number === 1 ? hex : `p${number}-${hex}`
}

const form = /^(?:p([2-9]|[1-9]\d{1,2})-)?[0-9a-f]{24}$/

/** The number of the pepper that it may be made with; null: it is no name of a value. Other systems may number versions so too. */
export const pepperOfName = (text: string): number | null => {
  const found = form.exec(text)
  const number = Number(found?.[1] ?? 1)
  return found && number <= lastPepper ? number : null
}
