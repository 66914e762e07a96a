// Peppers of the installation: what fingerprints of material and names of values are made with. The peppers themselves are in
// files, a numbered line each; the database says which one makes new fingerprints, so that all processes change over together:
//
//   active → replaced → retired
//
// Every process knows material again by any pepper of its file. There is no way back from `replaced`: a number stands for one
// pepper for ever. What was made with a replaced one is made anew where the material can be had; when nothing that matters is
// left, and nobody makes more, it is retired: the database takes no fingerprint under it any more, and its line may go.

/** A pepper as it is told of: never the key itself. */
export interface PepperName {
  /** 1 to 255: the first byte of its fingerprints. */
  readonly number: number
  /** Its own fingerprint, 16 hex digits. */
  readonly id: string
}

/** What the database says of them. */
export interface PepperWord {
  /** Makes new fingerprints. Null: nothing is said yet. */
  readonly makes: PepperName | null
  /** Replaced ones, which others may still be known by. */
  readonly inUse: readonly PepperName[]
  readonly retired: readonly PepperName[]
}

export const lastPepper = 255
