// Fingerprints, made and known again under the peppers of a file. One of them makes new ones, as the database says
// (usecases/follow-own-keys.ts); whatever any of them made is known again from the moment at which it is in the file.

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { RekeyError } from '#domain/errors.ts'
import {
  asFingerprint,
  bytesOfFingerprint,
  type Fingerprint,
  type Fingerprints,
  pepperOf,
} from '#domain/fingerprint.ts'
import { lastPepper, type PepperName } from '#domain/pepper.ts'
import type { Keyring, PepperFile, PepperRing } from '#domain/ports.ts'
import { revealBytes, type Secret } from '#domain/secret.ts'
import { readKeyFile, readOrMakeKeyFile, replaceKeyFile } from './key-file.ts'
import { makeRing, nameOf, sound } from './key-ring.ts'

export interface OpenPeppers extends PepperRing {
  /** All that fingerprints are known again by, the one that makes new ones first. */
  readonly all: readonly PepperName[]
}

type Numbered = readonly [number: number, pepper: Uint8Array]
export type ReadPeppers = () => readonly Numbered[]
type Fingerprinting = Pick<
  Keyring,
  | 'fingerprint'
  | 'fingerprintOf'
  | 'fingerprints'
  | 'fingerprintsOf'
  | 'isFingerprintOf'
  | 'mustKnow'
>

const pepperLine = ([number, pepper]: Numbered): string =>
  `rekey-pepper-v1 ${number} ${Buffer.from(pepper).toString('base64')}\n`
const pepperForm = {
  what: 'fingerprint pepper',
  pattern: /^((?:rekey-pepper-v1 [1-9]\d{0,2} [A-Za-z0-9+/]{43}=[ \t\r]*(?:\n\s*|$))+)$/,
  make: () => pepperLine([1, randomBytes(32)]),
}

const peppersIn = (text: string | null): readonly Numbered[] =>
  [...(text ?? '').matchAll(/^rekey-pepper-v1 (\d+) (\S+)/gm)].map((line) => [
    Number(line[1]),
    Buffer.from(line[2] ?? '', 'base64'),
  ])

/** Makes the file at the first start. */
export const openPepperFile = async (path: string): Promise<ReadPeppers> => {
  await readOrMakeKeyFile(path, pepperForm)
  return () => peppersIn(readKeyFile(path, pepperForm))
}

/** The file of the peppers, for the command that changes it. */
export const pepperFile = (path: string): PepperFile => {
  const lines = () => peppersIn(readKeyFile(path, pepperForm))
  return {
    path,
    peppers: () => lines().map(named),
    add: async (number) => {
      const made: Numbered = [number, randomBytes(32)]
      await replaceKeyFile(path, [...lines(), made].map(pepperLine).join(''))
      return named(made)
    },
    remove: async ({ number, id }) => {
      const there = lines()
      const left = there.filter((line) => line[0] !== number || named(line).id !== id)
      if (left.length === there.length || left.length === 0) return false
      await replaceKeyFile(path, left.map(pepperLine).join(''))
      return true
    },
  }
}

const named = ([number, pepper]: Numbered): PepperName => ({ number, id: nameOf('pepper', pepper) })

/** Fingerprints under numbered peppers. */
export const makePeppers = (
  read: ReadPeppers,
): { readonly ring: OpenPeppers; readonly fingerprinting: Fingerprinting } => {
  let inFile: readonly PepperName[] = []
  const peppers = makeRing(
    () => {
      const lines = numberedOnce(read())
      inFile = lines.map(named)
      return lines
    },
    (number, ours, cause) => new WrongPepper(String(number), ours, cause),
  )
  const nameOfNumber = (number: number): PepperName => named([number, peppers.find(number)])
  /** Under its number the very pepper that all others have. */
  const mustBe = ({ number, id }: PepperName): void => {
    const ours = nameOfNumber(number)
    if (ours.id !== id) throw new WrongPepper(`${number} (${id})`, [`${number} (${ours.id})`])
    peppers.fix(number)
  }
  const make = (number: number, digest: Uint8Array): Fingerprint =>
    asFingerprint(
      new Uint8Array([
        number,
        ...createHmac('sha256', peppers.find(number)).update(digest).digest(),
      ]),
    )
  const fingerprintOf = (digest: Uint8Array): Fingerprint => make(peppers.active, digest)
  const fingerprintsOf = (digest: Uint8Array): Fingerprints => [
    fingerprintOf(digest),
    ...peppers
      .all()
      .filter((number) => number !== peppers.active)
      .map((number) => make(number, digest)),
  ]
  return {
    ring: {
      get making() {
        return nameOfNumber(peppers.active)
      },
      get inFile() {
        return inFile
      },
      get all() {
        const others = peppers.all().filter((number) => number !== peppers.active)
        return [peppers.active, ...others].map(nameOfNumber)
      },
      reread: () => peppers.reread(),
      obey: ({ makes, inUse, retired }) => {
        if (makes) mustBe(makes)
        peppers.obey(
          makes?.number ?? null,
          retired.map(({ number }) => number),
        )
        for (const pepper of inUse) mustBe(pepper)
      },
    },
    fingerprinting: {
      fingerprint: (material) => fingerprintOf(digestOf(material)),
      fingerprintOf,
      fingerprints: (material) => fingerprintsOf(digestOf(material)),
      fingerprintsOf,
      isFingerprintOf: (fingerprint, material) =>
        timingSafeEqual(
          bytesOfFingerprint(make(pepperOf(fingerprint), digestOf(material))),
          bytesOfFingerprint(fingerprint),
        ),
      mustKnow: (numbers) => {
        for (const number of numbers) if (!peppers.isRetired(number)) peppers.find(number)
      },
    },
  }
}

const digestOf = (material: Secret<string> | Secret<Uint8Array>): Uint8Array =>
  createHash('sha256').update(revealBytes(material)).digest()

/** Two peppers under one number would make fingerprints of which nobody knows by which. */
const numberedOnce = (lines: readonly Numbered[]): readonly Numbered[] => {
  const twice = lines.find(([number], i) => lines.findIndex(([n]) => n === number) < i)
  if (twice) throw new Error(`the fingerprint pepper ${twice[0]} is there twice`)
  const odd = lines.find(([number]) => number > lastPepper)
  if (odd) throw new Error(`the fingerprint pepper ${odd[0]} is past ${lastPepper}`)
  return lines.map(([number, pepper]) => [number, sound(pepper)])
}

/** 503: another process, or a start with the right file, can do what was asked. */
export class WrongPepper extends RekeyError {
  constructor(pepper: string, ours: readonly string[], cause?: unknown) {
    super('service.unavailable', {
      detail: `fingerprints are made with the pepper ${pepper}, but here is ${ours.join(', ')}`,
      hint: 'See: rekey doctor',
      cause,
    })
    this.name = 'WrongPepper'
  }
}
