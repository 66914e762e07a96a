// `npm run check`: everything that can be said about the tree without running it. All at once, a few seconds.

import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { missingEntries, resolvedHosts, type Lockfile } from './lockfile.ts'
import { plantedFaults } from './planted.ts'

interface Verdict {
  readonly ok: boolean
  readonly output: string
}
interface Check {
  readonly name: string
  /** The package whose version is printed; null for a check of our own. */
  readonly tool: string | null
  readonly run: () => Promise<Verdict>
}

const root = join(import.meta.dirname, '..')
const bin = join(root, 'node_modules', '.bin')

const tool = (command: string, ...args: readonly string[]): Promise<Verdict> =>
  new Promise((resolve) => {
    // GOMAXPROCS: the type-aware half of oxlint is a Go program that would work out the same types once for each core.
    const path = `${bin}:${process.env['PATH'] ?? ''}`
    const env = { ...process.env, PATH: path, NO_COLOR: '1', GOMAXPROCS: '1' }
    const child = spawn(join(bin, command), args, {
      cwd: root,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', (error) =>
      resolve({ ok: false, output: `${command} did not start: ${error.message}` }),
    )
    child.on('close', (code) => resolve({ ok: code === 0, output: output.trim() }))
  })

const own = async (faults: Promise<readonly string[]>): Promise<Verdict> => {
  const found = await faults
  return { ok: found.length === 0, output: found.join('\n') }
}

const lockFaults = async (): Promise<readonly string[]> => {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as Lockfile
  return [
    ...missingEntries(lock).map(
      (m) =>
        `${m.name}@${m.version} (for ${m.neededBy || 'the project'}) has no entry: node scripts/complete-lockfile.ts`,
    ),
    ...resolvedHosts(lock).map((url) => `names a host: ${url}`),
  ]
}

// One checker: several would each work out typebox's types anew. What did not change since the last run is not checked again.
const types = ['--noEmit', '--pretty', 'false', '--checkers', '1', '--incremental']
types.push('--tsBuildInfoFile', join(root, 'node_modules', '.cache', 'rekey.tsbuildinfo'))

const checks: readonly Check[] = [
  { name: 'types', tool: 'typescript', run: () => tool('tsc', ...types) },
  {
    name: 'lint',
    tool: 'oxlint',
    run: () => tool('oxlint', '--type-aware', '--deny-warnings', '-f', 'unix'),
  },
  { name: 'format', tool: 'oxfmt', run: () => tool('oxfmt', '--check', '.') },
  {
    name: 'dead code',
    tool: 'knip',
    run: () => tool('knip', '--no-progress', '--no-config-hints'),
  },
  { name: 'lock file', tool: null, run: () => own(lockFaults()) },
  {
    name: 'forbidden imports are refused',
    tool: null,
    run: () => own(plantedFaults(root)),
  },
]

const versionOf = (name: string): string => {
  const file = join(root, 'node_modules', name, 'package.json')
  if (!existsSync(file)) return 'missing: run npm ci'
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const tools = checks.flatMap(({ tool: name }) => (name === null ? [] : [name]))
console.log(`node ${process.version}`)
for (const name of [...tools, 'oxlint-tsgolint']) console.log(`${name} ${versionOf(name)}`)

const started = performance.now()
const results = await Promise.all(
  checks.map(async (check) => {
    const from = performance.now()
    const verdict = await check.run()
    const seconds = ((performance.now() - from) / 1000).toFixed(1)
    console.log(`${verdict.ok ? 'ok    ' : 'FAILED'} ${check.name} (${seconds} s)`)
    return { check, verdict }
  }),
)
const failed = results.filter(({ verdict }) => !verdict.ok)
for (const { check, verdict } of failed) console.log(`\n${check.name}\n${verdict.output}`)
const seconds = ((performance.now() - started) / 1000).toFixed(1)
console.log(
  `\n${failed.length === 0 ? 'all checks passed' : `${failed.length} of ${checks.length} checks failed`} in ${seconds} s`,
)
process.exitCode = failed.length === 0 ? 0 : 1
