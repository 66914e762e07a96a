// "Did you mean": the nearest of the words that were possible.

/** Null where nothing is near: a far-fetched suggestion is worse than none. */
export const suggest = (word: string, candidates: readonly string[]): string | null => {
  const plain = normalise(word)
  const same = candidates.find((candidate) => normalise(candidate) === plain)
  if (same !== undefined) return same
  const limit = Math.max(1, Math.floor(Math.min(plain.length, 12) / 3))
  let best: string | null = null
  let least = limit + 1
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= least) continue
    const distance = editDistance(plain, normalise(candidate), least)
    if (distance < least) {
      least = distance
      best = candidate
    }
  }
  return best
}

/** `max-age`, `max_age` and `MaxAge` are one spelling. Long words are cut: nobody mistypes 64 characters. */
const normalise = (word: string): string => word.slice(0, 64).toLowerCase().replaceAll(/[-_ ]/g, '')

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment); `enough` or more is `enough`. */
export const editDistance = (a: string, b: string, enough = Infinity): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(cost)
    }
    if (Math.min(...row) >= enough) return enough
    beforeLast = last
    last = row
  }
  return Math.min(last[b.length] ?? 0, enough)
}
