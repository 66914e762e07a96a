// Whether a path leads where nobody but root and Rekey's own user can lead it: each folder on the way, and whatever a link on
// the way leads to, belongs to one of them and is written to by nobody else. Else what was judged could be exchanged for
// something else before it is used. A folder for everybody's files (sticky, as /tmp) may be passed through: in it nobody moves
// what is another's.

import { lstat, readlink, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, parse, sep } from 'node:path'

export type Judged =
  | { readonly real: string }
  | { readonly fault: 'missing' }
  | { readonly fault: 'others'; readonly at: string }

/** As Linux follows at most. */
const mostLinks = 40

export const judgePath = async (path: string): Promise<Judged> => {
  if (process.platform === 'win32') {
    const real = await realpath(path).catch(() => null)
    return real === null ? { fault: 'missing' } : { real }
  }
  const { root } = parse(path)
  const left = path.slice(root.length).split(sep)
  let at = root
  for (let links = 0; left.length > 0;) {
    const part = left.shift() ?? ''
    if (part === '' || part === '.') continue
    if (part === '..') {
      at = dirname(at)
      continue
    }
    const next = join(at, part)
    // oxlint-disable-next-line no-await-in-loop -- from the root on down
    const stat = await lstat(next).catch(() => null)
    if (stat === null || links > mostLinks) return { fault: 'missing' }
    const owned = stat.uid === 0 || stat.uid === process.getuid?.()
    if (stat.isSymbolicLink()) {
      if (!owned) return { fault: 'others', at: next }
      links += 1
      // oxlint-disable-next-line no-await-in-loop -- from the root on down
      const target = await readlink(next)
      left.unshift(...target.split(sep))
      if (isAbsolute(target)) at = root
      continue
    }
    const passed = stat.isDirectory() && (stat.mode & 0o1000) !== 0 && left.some(isName)
    if (!owned || ((stat.mode & 0o022) !== 0 && !passed)) return { fault: 'others', at: next }
    at = next
  }
  return { real: at }
}

const isName = (part: string): boolean => part !== '' && part !== '.'
