// A rule of a fault proxy while it lives: how often it still applies, and who waits for it. The same for HTTP and for TCP.

import type { Fault, Match, Rule } from './fault-proxy.ts'

export interface LiveRule extends Rule {
  readonly match: Match
  readonly fault: Fault
  left: number
  passing: number
  count: number
  readonly held: (() => Promise<void>)[]
  readonly waiting: { readonly n: number; readonly done: () => void }[]
}

export const makeRule = (match: Match, fault: Fault, times: number): LiveRule => {
  const rule: LiveRule = {
    match,
    fault,
    left: times,
    passing: match.after ?? 0,
    count: 0,
    held: [],
    waiting: [],
    hits: () => rule.count,
    hit: (n = 1) =>
      rule.count >= n
        ? Promise.resolve()
        : new Promise((done) => {
            rule.waiting.push({ n, done })
          }),
    release: async () => {
      rule.left = 0
      await Promise.all(rule.held.splice(0).map((go) => go()))
    },
    remove: () => {
      rule.left = 0
      rule.held.length = 0
    },
  }
  return rule
}

export const countHit = (rule: LiveRule): void => {
  rule.count += 1
  for (const waiter of rule.waiting) if (rule.count >= waiter.n) waiter.done()
}
