// A few lines at the end of a terminal that are drawn again where they stand. What is said meanwhile goes above them, and
// the last ones stay when it is over: whoever scrolls back reads how it ended.
//
// A line may be wider than the terminal: it wraps, so that a command in it can be copied whole, and the rows that it takes
// are counted. More rows than the terminal has cannot be drawn again; the frame is asked to make do with less.

import getWidth from 'fast-string-width'
import { stripVTControlCharacters } from 'node:util'
import type { CliIo, Pane, Size } from './io.ts'

/** The lines that are to be seen now, best in at most so many rows of the terminal. */
export type Frame = (size: Size) => readonly string[]

export interface Live {
  /** Draws what has changed. Without it, once a second. */
  update(): void
  /** One line that stays, above. */
  above(text: string): void
  /** The last frame stays. */
  close(): void
}

const tickMs = 1_000

/** Null where nothing can be drawn: no terminal, or one that cannot move its cursor. */
export const openLive = (pane: Pane, clock: CliIo['clock'], frame: Frame): Live | null => {
  if (pane.size() === null) return null
  const closed = new AbortController()
  let drawn: readonly string[] = []
  let drawnAt = ''

  const draw = (above: string): void => {
    const size = pane.size()
    if (size === null) return
    const lines = fitting(frame(size), size)
    const now = `${size.columns}x${size.rows} ${lines.join('\n')}`
    if (above === '' && now === drawnAt) return
    // In one write, so that nobody sees it half done.
    pane.write(`${erase(drawn, size)}${above}${lines.join('\n')}`)
    drawn = lines
    drawnAt = now
  }
  const tick = async (): Promise<void> => {
    while (!closed.signal.aborted) {
      draw('')
      // oxlint-disable-next-line no-await-in-loop -- a clock ticks in time
      await clock.pause(tickMs, closed.signal)
    }
  }
  void tick()
  return {
    update: () => draw(''),
    above: (text) => draw(`${text}\n`),
    close: () => {
      if (closed.signal.aborted) return
      closed.abort()
      draw('')
      pane.write('\n')
    },
  }
}

/** Rows of the terminal that a line takes. */
export const rowsOf = (line: string, { columns }: Size): number =>
  Math.max(1, Math.ceil(getWidth(stripVTControlCharacters(line)) / columns))

export const rowsOfAll = (lines: readonly string[], size: Size): number =>
  lines.reduce((sum, line) => sum + rowsOf(line, size), 0)

/** Back to where the lines began. A terminal that was made narrower has wrapped them anew. Row by row: to clear the whole
 *  screen at once, from its first cell on, would make tmux keep every frame in its history. */
const erase = (lines: readonly string[], size: Size): string => {
  if (lines.length === 0) return ''
  const up = Math.min(rowsOfAll(lines, size), size.rows) - 1
  return `\r\u001b[2K${'\u001b[1A\u001b[2K'.repeat(up)}`
}

/** As many as there are rows for, from the first on. */
const fitting = (lines: readonly string[], size: Size): readonly string[] => {
  let rows = 0
  return lines.filter((line) => (rows += rowsOf(line, size)) <= size.rows - 1)
}
