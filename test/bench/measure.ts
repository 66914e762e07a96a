// How every benchmark measures: ours and the floor in turns, in one run, and of each the median. The machine may be busy
// with other things: what both suffer cancels out in the ratio, what one round suffers does not reach the median.

export interface Line {
  readonly what: string
  readonly ours: string
  readonly floor: string
  /** Ours ÷ floor, higher is better; null where the floor is only there to be looked at. */
  readonly ratio: number | null
  readonly goal: string
  /** Null: no goal was set. */
  readonly met: boolean | null
}

export interface Benchmark {
  readonly name: string
  readonly about: string
  readonly run: (options: Options) => Promise<readonly Line[]>
}

export interface Options {
  /** 20,000 keys instead of 1,000 where that takes long. */
  readonly large: boolean
  /** How many keys, where that was asked for. */
  readonly keys: number | null
  readonly say: (line: string) => void
}

export type Variants<Name extends string> = Readonly<Record<Name, () => Promise<number>>>

/** Runs each variant once a round, in turns, and answers with the median of what each returned. */
export const inTurns = async <Name extends string>(
  rounds: number,
  variants: Variants<Name>,
  say: (line: string) => void,
): Promise<Readonly<Record<Name, number>>> => {
  const names = Object.keys(variants) as Name[]
  const seen = new Map<Name, number[]>(names.map((name) => [name, []]))
  for (let round = 1; round <= rounds; round++) {
    // Every second round backwards: nobody always goes first.
    for (const name of round % 2 === 1 ? names : names.toReversed()) {
      const value = await variants[name]()
      seen.get(name)?.push(value)
      say(`  round ${round}: ${name} ${figure(value)}`)
    }
  }
  const medians = names.map((name) => [name, median(seen.get(name) ?? [])])
  return Object.fromEntries(medians) as Record<Name, number>
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low, high] = [sorted[middle - 1], sorted[middle]]
  if (high === undefined) throw new RangeError('there is no median of nothing')
  return sorted.length % 2 === 1 || low === undefined ? high : (low + high) / 2
}

/** How often a second `clients` callers at once get `work` done. Work that is under way at the end counts, with its time. */
export const perSecond = async (
  clients: number,
  ms: number,
  work: (client: number) => Promise<unknown>,
): Promise<number> => {
  const start = performance.now()
  let done = 0
  const caller = async (_: unknown, client: number): Promise<void> => {
    while (performance.now() - start < ms) {
      await work(client)
      done += 1
    }
  }
  await Promise.all(Array.from({ length: clients }, caller))
  return (done * 1000) / (performance.now() - start)
}

export const seconds = async (work: () => Promise<unknown>): Promise<number> => {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

export const figure = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3)

export const table = (lines: readonly Line[]): string => {
  const head = ['what', 'ours', 'floor', 'ratio', 'goal', '']
  const rows = lines.map(({ what, ours, floor, ratio, goal, met }) => [
    what,
    ours,
    floor,
    ratio === null ? '' : ratio.toFixed(2),
    goal,
    met === null ? '' : met ? 'met' : 'missed',
  ])
  const all = [head, head.map(() => '---'), ...rows]
  return all.map((row) => `| ${row.join(' | ')} |`).join('\n')
}
