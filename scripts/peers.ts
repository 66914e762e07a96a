// `npm run peers`: gets the test peers that are missing and prints a table. Exit 1 when REKEY_PEERS=required and one is
// not to be had.

import { peerNames, peers, type Peer } from '../test/peers/peers.ts'

const say = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

interface Row {
  readonly peer: string
  readonly outcome: 'found' | 'made' | 'not to be had'
  readonly detail: string
}

const settle = async (name: string, peer: Peer): Promise<Row> => {
  const there = peer.find()
  if (there !== null) return { peer: name, outcome: 'found', detail: there }
  const means = peer.means()
  if (!means.can) return { peer: name, outcome: 'not to be had', detail: means.why }
  say(`${name}: ${peer.title} is missing; ${means.by}`)
  try {
    await peer.make(say)
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { peer: name, outcome: 'not to be had', detail }
  }
  const made = peer.find()
  return made === null
    ? { peer: name, outcome: 'not to be had', detail: `${means.by} succeeded, but left nothing` }
    : { peer: name, outcome: 'made', detail: made }
}

const rows: Row[] = []
for (const name of peerNames) rows.push(await settle(name, peers[name]))

const width = (column: 'peer' | 'outcome'): number =>
  Math.max(column.length, ...rows.map((row) => row[column].length))
const line = (peer: string, outcome: string, detail: string): string =>
  `${peer.padEnd(width('peer'))}  ${outcome.padEnd(width('outcome'))}  ${detail}`
process.stdout.write(`${line('PEER', 'OUTCOME', 'WHERE, OR WHY NOT')}\n`)
for (const row of rows) {
  const [first = '', ...rest] = row.detail.split('\n')
  process.stdout.write(`${line(row.peer, row.outcome, first)}\n`)
  for (const more of rest) process.stdout.write(`${line('', '', more)}\n`)
}

const missing = rows.filter((row) => row.outcome === 'not to be had')
if (missing.length > 0 && process.env['REKEY_PEERS'] === 'required') process.exitCode = 1
