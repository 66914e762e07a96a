// Colour, where somebody sees it and did not refuse it (no-color.org). It never carries meaning alone.

import { styleText } from 'node:util'
import type { CliIo, Pane } from './io.ts'

export type Paint = (colour: 'red' | 'yellow' | 'green' | 'bold' | 'dim', text: string) => string

export const paintFor = (env: CliIo['env'], pane: Pane): Paint => {
  const plainly = !pane.isTerminal || Boolean(env['NO_COLOR']) || env['TERM'] === 'dumb'
  return (colour, text) => (plainly ? text : styleText(colour, text, { validateStream: false }))
}
