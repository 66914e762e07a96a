// The heads of streams that a transaction has locked: what is here is current until it ends.

export interface Head {
  seq: number
  prev: Uint8Array | null
}
export type Heads = Map<string, Head>
