// The guide to policies as code, run: its files are written, its commands are given to the command line against the real
// server, its output is what comes out. The script for CI runs in a shell.

import { execFile } from 'node:child_process'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi, type Api } from '#test/support/http.ts'
import { openTerminal, type Terminal } from './terminal.ts'

const root = join(import.meta.dirname, '../..')
const shell = promisify(execFile)
let api: Api
let env: Record<string, string>
let terminal: Terminal

beforeAll(async () => {
  api = await openApi()
  await api.app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = api.app.server.address() as AddressInfo
  env = { REKEY_URL: `http://127.0.0.1:${port}`, REKEY_TOKEN: api.adminToken }
  terminal = await openTerminal({ env })
})
afterAll(() => api.close())

interface Block {
  readonly language: string
  readonly text: string
  /** The line before it names a file: `policies/payments.yaml`: */
  readonly file: string | null
}

const blocksOf = (guide: string): readonly Block[] =>
  [...guide.matchAll(/(?:^`([^`\n]+)`:\n)?^```(\w+)\n([\s\S]*?)^```$/gm)].map(
    ([, file, language = '', text = '']) => ({ file: file ?? null, language, text }),
  )

/** `rekey apply -f x    # exits 2` */
const commandOf = (line: string) => {
  const [, words = '', exit = '0'] = /^rekey (.*?)(?: {2,}# exits (\d+))?$/.exec(line) ?? []
  return { words: words.split(' '), exit: Number(exit) }
}

test('every file and command of the guide works as it stands', async () => {
  const guide = await readFile(join(root, 'docs/how-to/policies-as-code.md'), 'utf8')
  let printed = ''
  let commands = 0
  for (const { language, text, file } of blocksOf(guide)) {
    if (file !== null) await terminal.file(file, text)
    else if (language === 'text') {
      for (const line of text.trimEnd().split('\n')) expect(printed).toContain(line)
    } else if (language === 'sh') {
      for (const line of text.trimEnd().split('\n')) {
        if (!line.startsWith('rekey ')) {
          await shell('sh', ['-c', line], { cwd: terminal.cwd })
          continue
        }
        const { words, exit } = commandOf(line)
        const ran = await terminal.run(...words)
        expect([line, ran.exit, ran.exit === exit ? '' : ran.stderr]).toEqual([line, exit, ''])
        printed = ran.stdout
        commands += 1
      }
    }
  }
  expect(commands).toBeGreaterThanOrEqual(11)
})

test('the script for CI runs in a shell: on a branch it shows, on main it applies', async () => {
  const bin = join(terminal.cwd, 'rekey')
  const node = join(root, 'node_modules/.bin/node')
  await writeFile(bin, `#!/bin/sh\nexec '${node}' '${root}/src/main.ts' "$@"\n`)
  await chmod(bin, 0o755)
  const run = (branch: string) =>
    shell('sh', ['ci.sh'], {
      cwd: terminal.cwd,
      env: { ...env, PATH: `${terminal.cwd}:${process.env['PATH'] ?? ''}`, BRANCH: branch },
    })
  const policy = join(terminal.cwd, 'policies/payments.yaml')
  await writeFile(policy, (await readFile(policy, 'utf8')).replace('soak: 1h', 'soak: 2h'))
  expect((await run('some-branch')).stdout).toContain('soak is tightened from 1h to 2h')
  expect((await run('main')).stdout).toMatch(/policy\/payments-nightly +changed/)
  expect((await run('some-branch')).stdout).toContain('nothing changes')
})
