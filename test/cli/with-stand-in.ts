// A stand-in server of its own for each test of a file; a breach of the contract fails the test.

import { afterEach, beforeEach, expect } from 'vitest'
import { startStandIn, type StandIn } from './stand-in.ts'
import { openTerminal, type Terminal, type TerminalOptions } from './terminal.ts'

export interface Stage {
  server: StandIn
  /** A terminal with the server's address and a token that it takes. */
  terminal(options?: TerminalOptions): Promise<Terminal>
}

export const withStandIn = (): Stage => {
  const stage: Stage = {
    // Set before any test runs.
    server: undefined as unknown as StandIn,
    terminal: (options = {}) =>
      openTerminal({
        ...options,
        env: { REKEY_URL: stage.server.url, REKEY_TOKEN: stage.server.token, ...options.env },
      }),
  }
  beforeEach(async () => {
    stage.server = await startStandIn()
  })
  afterEach(async () => {
    const { breaches } = stage.server
    await stage.server.stop()
    expect(breaches).toEqual([])
  })
  return stage
}
