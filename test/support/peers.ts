// Suites ask for a peer by name. When it is not there, the suite is skipped and written down, and the reporter prints one
// table at the end; with REKEY_PEERS=required (CI) it fails instead. So do suites that take long: they ask for time.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { peers, type Peer, type PeerName } from '#test/peers/peers.ts'

export interface MissingPeer {
  readonly peer: PeerName | 'time'
  readonly why: string
  /** Titles of the suites that did not run. */
  readonly suites: readonly string[]
}

/** `peer('vault').describe('…', () => {…})` runs the suite, skips it, or fails it. */
export const peer = (
  name: PeerName,
): { readonly there: boolean; readonly describe: (title: string, body: () => void) => void } => {
  const row: Peer = peers[name]
  const there = row.find() !== null
  return {
    there,
    describe: (title, body) => {
      if (there) {
        describe(title, body)
        return
      }
      const means = row.means()
      const why = means.can ? `run \`npm run peers\` (${means.by})` : means.why
      writeDown(name, why, title)
      if (required()) {
        describe(title, () => {
          test(`needs the peer ${name}`, () => {
            throw new Error(`REKEY_PEERS=required, and ${row.title} is missing: ${why}`)
          })
        })
      } else {
        describe.skip(title, body)
      }
    },
  }
}

/** Suites that start whole installations, one after the other: more than a minute together. They run where every peer must be
 *  there, and with REKEY_TESTS=all; else they are skipped, by name. */
export const long = {
  describe: (title: string, body: () => void): void => {
    if (required() || process.env['REKEY_TESTS'] === 'all') {
      describe(title, body)
      return
    }
    writeDown('time', 'set REKEY_TESTS=all (two minutes more)', title)
    describe.skip(title, body)
  },
}

const required = (): boolean => process.env['REKEY_PEERS'] === 'required'

/** One row a peer, over all workers of all runs since `since` (or since the record was last forgotten). */
export const missingPeers = (since: Date = new Date(0)): readonly MissingPeer[] => {
  const found = new Map<MissingPeer['peer'], { why: string; suites: Set<string> }>()
  for (const note of readNotes()) {
    if (note.at < since.getTime()) continue
    const row = found.get(note.peer) ?? { why: note.why, suites: new Set() }
    row.suites.add(note.suite)
    found.set(note.peer, row)
  }
  return [...found].map(([name, row]) => ({
    peer: name,
    why: row.why,
    suites: [...row.suites].toSorted(),
  }))
}

/** Called once at the start of a run. */
export const forgetMissingPeers = (): void => {
  rmSync(recordDir(), { recursive: true, force: true })
}

interface Note {
  readonly peer: PeerName | 'time'
  readonly why: string
  readonly suite: string
  readonly at: number
}

// One file a note: workers are processes of their own and must not write into each other's lines.
const recordDir = (): string =>
  process.env['REKEY_PEERS_RECORD'] ?? join(tmpdir(), `rekey-missing-peers-${userInfo().uid}`)

const writeDown = (name: MissingPeer['peer'], why: string, suite: string): void => {
  mkdirSync(recordDir(), { recursive: true })
  const note: Note = { peer: name, why, suite, at: Date.now() }
  const file = `${process.pid}-${process.hrtime.bigint()}.json`
  writeFileSync(join(recordDir(), file), JSON.stringify(note))
}

const readNotes = (): readonly Note[] => {
  let files: string[]
  try {
    files = readdirSync(recordDir())
  } catch {
    return []
  }
  return files.map((file) => JSON.parse(readFileSync(join(recordDir(), file), 'utf8')) as Note)
}
