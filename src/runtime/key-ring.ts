// The keys of one kind that a process has from a file, by their names.

import { createHash } from 'node:crypto'

/** The keys of a file, and the one that makes new things: the first of the file, until the database says another. */
export const makeRing = <Name extends string | number>(
  read: () => readonly (readonly [Name, Uint8Array])[],
  wrong: (name: Name, ours: readonly string[], cause?: unknown) => Error,
) => {
  const known = new Map<Name, Uint8Array>()
  const retired = new Set<Name>()
  /** Those that the database has spoken of: their keys are others' too, and no file changes them. */
  const fixed = new Set<Name>()
  let inFile: readonly Name[] = []
  const reread = (): void => {
    const found = read()
    inFile = found.map(([name]) => name)
    for (const [name, key] of found)
      if (!retired.has(name) && !fixed.has(name)) known.set(name, key)
  }
  reread()
  const [first] = inFile
  if (first === undefined) throw new RangeError('a keyring holds at least one key of each kind')
  let active: Name = first
  const ours = (): readonly string[] => [...known.keys()].map(String)
  const find = (name: Name): Uint8Array => {
    const key = known.get(name)
    if (key !== undefined) return key
    try {
      reread()
    } catch (cause) {
      throw wrong(name, ours(), cause)
    }
    const come = known.get(name)
    if (come === undefined) throw wrong(name, ours())
    return come
  }
  return {
    get active() {
      return active
    },
    get inFile() {
      return inFile
    },
    all: () => [...known.keys()],
    reread,
    find,
    /** From now on no file changes which key this is. */
    fix: (name: Name) => void fixed.add(name),
    isRetired: (name: Name) => retired.has(name),
    /** `makes` null: nothing is said of it. */
    obey: (makes: Name | null, gone: readonly Name[]): void => {
      if (makes !== null) {
        find(makes)
        active = makes
      }
      for (const name of gone) {
        retired.add(name)
        if (name !== active) known.delete(name)
      }
    },
  }
}

export const sound = (key: Uint8Array): Uint8Array => {
  if (key.length !== 32) throw new RangeError('keys of the keyring are 32 bytes')
  return key
}

/** A key by its fingerprint. */
export const nameOf = (what: 'kek' | 'pepper', key: Uint8Array): string =>
  createHash('sha256').update(`rekey-${what}-id\n`).update(key).digest('hex').slice(0, 16)
