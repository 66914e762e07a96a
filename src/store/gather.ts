// Small asks of many callers at once, sent as one statement: while one is under way the others are gathered for the next, so
// that nobody waits longer than for one. Each caller has its own answer, and its own error: where the statement fails they
// are sent one by one.

export const gather = <Ask, Answer>(options: {
  /** Two of one name are not in one statement. */
  readonly nameOf: (ask: Ask) => string
  /** The answers in the order of the asks. */
  readonly send: (asks: readonly Ask[]) => Promise<readonly Answer[]>
}): ((ask: Ask) => Promise<Answer>) => {
  const { nameOf, send } = options
  let waiting: Waiting<Ask, Answer>[] = []
  let running = false
  const take = (): readonly Waiting<Ask, Answer>[] => {
    const names = new Set<string>()
    const taken: Waiting<Ask, Answer>[] = []
    const left: Waiting<Ask, Answer>[] = []
    for (const one of waiting) {
      const name = nameOf(one.ask)
      ;(names.has(name) || taken.length === mostAtOnce ? left : taken).push(one)
      names.add(name)
    }
    waiting = left
    return taken
  }
  const run = async (): Promise<void> => {
    running = true
    while (waiting.length > 0) await answer(send, take()) // oxlint-disable-line no-await-in-loop -- one after the other is the point
    running = false
  }
  return (ask) =>
    new Promise((resolve, reject) => {
      waiting.push({ ask, resolve, reject })
      // In the next turn, with all that is asked in this one.
      if (!running) setImmediate(() => void (running || run()))
    })
}

interface Waiting<Ask, Answer> {
  readonly ask: Ask
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

const mostAtOnce = 200

/** Never throws. */
const answer = async <Ask, Answer>(
  send: (asks: readonly Ask[]) => Promise<readonly Answer[]>,
  group: readonly Waiting<Ask, Answer>[],
): Promise<void> => {
  try {
    const answers = await send(group.map(({ ask }) => ask))
    for (const [n, one] of group.entries()) {
      const own = answers[n]
      if (own === undefined) one.reject(new RangeError('it has no answer'))
      else one.resolve(own)
    }
  } catch (error) {
    const [only, ...others] = group
    if (only && others.length === 0) only.reject(error)
    // oxlint-disable-next-line no-await-in-loop -- a statement at a time
    else for (const one of group) await answer(send, [one])
  }
}
