// README and everything in docs/, done as their readers do: each file is written, each command typed at a shell, in order,
// against `rekey up` as it is started on an empty machine; output that is shown must come out. A command that a test cannot
// run stands in a table with what is run instead, so that a new command is either run or decided about.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { which } from '#test/peers/run-command.ts'
import { mentionsOf, root, sectionsOf, type Piece } from '#test/support/guide.ts'
import {
  openCommon,
  openProduction,
  withPolicies,
  type Common,
  type Ground,
} from '#test/support/guide-grounds.ts'
import { openGuideShell, type GuideShell } from '#test/support/guide-shell.ts'
import { long, peer } from '#test/support/peers.ts'
import { wrongCommands } from '#test/support/rekey-words.ts'

const guides = ['README.md', ...globSync('docs/**/*.md', { cwd: root }).toSorted()].filter(
  (guide) => sectionsOf(guide).some(({ pieces }) => pieces.some(({ is }) => is === 'command')),
)

/** Not run here: by their beginning, where the same is run, and what stands there. */
const elsewhere: readonly (readonly [begins: string, file: string, text: string])[] = [
  ['npm ci && npm start', '.ci/run', 'npm ci'],
  ["pkill -9 -f 'src/main.ts up'", 'test/faults/kill-local.test.ts', 'rekey.kill('],
  ['npm start', 'test/support/rekey-process.ts', "[main, 'up']"],
  ['npm run peers && npm test', '.ci/run', 'npm run peers'],
  ['npm run check', '.ci/run', 'npm run check'],
  ['npm run docs', 'test/house/docs.test.ts', 'pages'],
  ['npm run storm', 'test/faults/storm-vault.test.ts', 'REKEY_TEST_STORM'],
  ['npm run matrix', 'test/faults/crash-matrix.test.ts', 'REKEY_TEST_MATRIX'],
  ['npm run walks', 'scripts/walks.ts', 'REKEY_TEST_WALKS'],
  ['npm run contract', 'test/contract/vitest.config.ts', 'npm run contract'],
  ['REKEY_PROVIDERS=/opt/rekey/acme', 'test/providers/outside.test.ts', 'withOutside('],
  ['npm run mutants', 'test/faults/mutants.test.ts', 'mutants'],
  ['.ci/run', '.ci/run', 'npm test'],
  ['rekey login --issuer', 'test/cli/login.test.ts', "'login', '--issuer'"],
  [
    'rekey restore --from',
    'test/faults/restore.test.ts',
    "rekey.rekey('restore', '--from', backup)",
  ],
  ['docker compose up --build --wait', 'test/house/compose.test.ts', "'compose', 'config'"],
  [
    'OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 rekey worker',
    'test/e2e/observability.test.ts',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
  ],
]

/** What a house where all is well answers otherwise than the one of the guide's reader. */
const whereAllIsWell: Readonly<Record<string, number>> = {
  // No request was answered with 500.
  'curl -s 127.0.0.1:7401/metrics | grep -E "^rekey_http_request_duration_seconds_count.*status=\\"5"': 1,
  // A key that was replaced a moment ago.
  'rekey kek retire': 5,
  // Nothing has ended yet.
  'rekey pepper retire --forget 12': 5,
  // Nothing was restored.
  'rekey doctor --accept-restore --reason "restored Tuesday\'s backup; looked at all keys"': 5,
  'curl -s -X POST -H "Authorization: Bearer $REKEY_TOKEN" -H \'Content-Type: application/json\' -d \'{"reason": "…"}\' $REKEY_URL/v1/recovery/acceptance': 22,
}

/** Programs that are not everywhere: their commands are left out without them. Those that change a machine or somebody's
 *  cloud are left out everywhere. */
const programs = ['psql'].filter((name) => which(name) === null)
const isLeftOut = (command: string): boolean =>
  [...programs, 'timedatectl', 'az'].some((name) => command.startsWith(`${name} `))

const isOfVault = (piece: Piece): boolean =>
  piece.is === 'command' && /^(?:vault |.*vault-(?:dev|prod))/m.test(piece.text)

/** Some sections start a dozen processes, and a machine may be busy with others. */
const patienceMs = 300_000

long.describe('every command, as a reader types it', () => {
  let common: Common
  beforeAll(async () => {
    common = await openCommon()
  })
  afterAll(() => common.stop())

  /** All but these are followed at the same place. */
  const grounds: Readonly<Record<string, () => Promise<Ground>>> = {
    'README.md': async () => withPolicies(common.ground()),
    'docs/tutorial.md': async () => withPolicies(common.ground()),
    'docs/how-to/production.md': openProduction,
  }

  describe.each(guides)('%s', (guide) => {
    let shell: GuideShell
    let key = 'sample-api-token'
    let printed = ''

    let ground: Ground

    beforeAll(async () => {
      ground = await (grounds[guide]?.() ?? common.ground())
      shell = await openGuideShell(ground)
      ground.furnish(shell.cwd)
    })
    afterAll(async () => {
      await shell.close()
      await ground.leave()
    })

    const take = async (piece: Piece): Promise<void> => {
      if (piece.is === 'file') return shell.file(piece.name, await ground.filled(piece.text, key))
      if (piece.is === 'output') {
        for (const line of piece.lines) expect(printed).toContain(line)
        return
      }
      const { text, exit } = piece
      const plain = text.replace(/ {2,}#.*$/m, '')
      if (elsewhere.some(([begins]) => text.startsWith(begins)) || isLeftOut(text)) return
      key = / rotate key\/(\S+)/.exec(text)?.[1] ?? key
      const expected = whereAllIsWell[plain] ?? exit
      const command = await ground.filled(text, key)
      let typed = await shell.type(command)
      // The sample rotates by itself, every minute.
      for (let n = 0; n < 50 && /rotation\.inProgress/.test(typed.stderr); n++)
        typed = await shell.type(`sleep 1; ${command}`) // oxlint-disable-line no-await-in-loop -- until it is free
      expect([
        command,
        typed.exit,
        typed.exit === expected ? '' : typed.stderr + typed.stdout,
      ]).toEqual([command, expected, ''])
      if (expected !== 22) expect(typed.refused).toEqual([])
      printed = typed.stdout
    }

    const sections = sectionsOf(guide)
    const needsVault = sections.findIndex(({ pieces }) => pieces.some(isOfVault))
    const before = needsVault < 0 ? sections : sections.slice(0, needsVault)
    const tell = (section: (typeof sections)[number]): void =>
      test(section.title, { timeout: patienceMs }, async () => {
        for (const piece of section.pieces) await take(piece) // oxlint-disable-line no-await-in-loop -- as it is read
      })
    before.forEach(tell)
    if (needsVault >= 0)
      peer('vault').describe('with a Vault', () => sections.slice(needsVault).forEach(tell))
  })

  test('the script for CI shows on a branch and applies on main', async () => {
    const guide = 'docs/how-to/policies-as-code.md'
    const files = sectionsOf(guide).flatMap(({ pieces }) =>
      pieces.flatMap((piece) => (piece.is === 'file' ? [piece] : [])),
    )
    const shell = await openGuideShell({
      env: { REKEY_URL: common.rekey.url, REKEY_TOKEN_FILE: join(common.rekey.dir, 'admin-key') },
    })
    // As the guide leaves it, with a change.
    for (const { name, text } of files)
      shell.file(
        name,
        text.replaceAll('payments-monthly', 'payments-nightly').replace('soak: 1h', 'soak: 2h'),
      )
    const run = async (branch: string) => {
      const { exit, stdout, stderr } = await shell.type(`BRANCH=${branch} sh ci.sh`)
      expect([exit, exit === 0 ? '' : stderr]).toEqual([0, ''])
      return stdout
    }
    expect(await run('some-branch')).toContain('soak is tightened from 1h to 2h')
    expect(await run('main')).toMatch(/policy\/payments-nightly +changed/)
    expect(await run('some-branch')).toContain('nothing changes')
    await shell.close()
  })
})

test('what is run elsewhere is run there, and stands in some guide', () => {
  const commands = guides.flatMap((guide) =>
    sectionsOf(guide).flatMap(({ pieces }) =>
      pieces.flatMap((piece) => (piece.is === 'command' ? [piece.text] : [])),
    ),
  )
  for (const [begins, file, text] of elsewhere) {
    expect(readFileSync(join(root, file), 'utf8'), begins).toContain(text)
    expect(
      commands.some((command) => command.startsWith(begins)),
      begins,
    ).toBe(true)
  }
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  for (const [, script = ''] of commands.join('\n').matchAll(/npm run (?:-s )?([a-z]+)/g))
    expect(Object.keys(scripts)).toContain(script)
  for (const command of Object.keys(whereAllIsWell))
    expect(commands.map((one) => one.replace(/ {2,}#.*$/m, ''))).toContain(command)
})

test('a block says what it is: nothing that could be a command is left unread', () => {
  const bare = globSync(['README.md', 'docs/**/*.md'], { cwd: root }).filter((guide) => {
    const fences = readFileSync(join(root, guide), 'utf8').match(/^```.*$/gm) ?? []
    return fences.some((fence, n) => n % 2 === 0 && !/^```[a-z]+$/.test(fence))
  })
  expect(bare).toEqual([])
})

test.each([...guides, 'CHANGELOG.md'])('commands that %s only mentions are there', (guide) => {
  expect(mentionsOf(guide).flatMap(wrongCommands)).toEqual([])
})
