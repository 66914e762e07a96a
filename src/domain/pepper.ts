// Peppers of the installation: what fingerprints of material and names of values are made with. The peppers themselves are in
// files, a numbered line each; the database says which one makes new fingerprints, so that all processes change over together:
//
//   active → replaced → retired
//
// Every process knows material again by any pepper of its file. There is no way back from `replaced`: a number stands for one
// pepper for ever. What was made with a replaced one is made anew where the material can be had; when nothing that matters is
// left, and nobody makes more, it is retired: the database takes no fingerprint under it any more, and its line may go.

export const pepperStates = ['active', 'replaced', 'retired'] as const
export type PepperState = (typeof pepperStates)[number]

/** A pepper as it is told of: never the key itself. */
export interface PepperName {
  /** 1 to 255: the first byte of its fingerprints. */
  readonly number: number
  /** Its own fingerprint, 16 hex digits. */
  readonly id: string
}

export interface Pepper extends PepperName {
  readonly state: PepperState
  readonly activatedAt: Date
  readonly replacedAt: Date | null
  /** Whatever could be made anew at once was, and no living process made more with it, from then on. */
  readonly renewedAt: Date | null
  readonly retiredAt: Date | null
}

/** What the database says of them. */
export interface PepperWord {
  /** Makes new fingerprints. Null: nothing is said yet. */
  readonly makes: PepperName | null
  /** Replaced ones, which others may still be known by. */
  readonly inUse: readonly PepperName[]
  readonly retired: readonly PepperName[]
}

export const pepperWordOf = (peppers: readonly Pepper[]): PepperWord => ({
  makes: peppers.find(({ state }) => state === 'active') ?? null,
  inUse: peppers.filter(({ state }) => state === 'replaced'),
  retired: peppers.filter(({ state }) => state === 'retired'),
})

export const lastPepper = 255

/** Rows that are known by a pepper. */
export interface PepperUses {
  /** Of keys that are there: versions that are handed out or may be again, or whose material is here. */
  readonly versions: number
  /** Some of their keys, by name. */
  readonly keys: readonly string[]
  /** Rotations and incidents from before everything was made anew: they may have noted names of values. Also later incidents that work on
   *  a version which is known by it: what such a version is named by would be tried, and not be met any more. */
  readonly open: number
  /** Versions that ended, or whose key was deleted: a pasted secret is still recognised as theirs. */
  readonly ended: number
  /** What people said of values that they made. */
  readonly confirmations: number
  /** Logins that a provider refused: they are not tried again. */
  readonly logins: number
}

/** What a pasted secret, or a refused login, would be recognised by no more. */
export const forgettable = ({ ended, confirmations, logins }: PepperUses): number =>
  ended + confirmations + logins

/** What `rekey pepper` refuses to do. */
export type RefusedPepper =
  | 'busy'
  | 'file'
  | 'ambiguous'
  | 'older'
  | 'waits'
  | 'last'
  | 'inUse'
  | 'ended'

export class PepperRefused extends Error {
  readonly why: RefusedPepper
  readonly hint: string

  constructor(why: RefusedPepper, message: string, hint: string) {
    super(message)
    this.name = 'PepperRefused'
    this.why = why
    this.hint = hint
  }
}
