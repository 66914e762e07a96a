// `npm run mutate -- [part] [--files a,b] [--sample 0.05] [--seed text]`: mutation testing. Exit 1 below the part's score.
// docs/reference/proofs.md says how to read it.
//
// StrykerJS makes the mutants and keeps the books. It is 61 MB of packages that nothing else needs: they are installed here,
// beside their own lock file, when this is run first.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { pathToFileURL } from 'node:url'
import { parts, type PartName } from '../test/mutation/parts.ts'

const root = join(import.meta.dirname, '..')
const home = join(root, 'test/mutation')
const core = join(home, 'node_modules/@stryker-mutator/core')

interface Mutant {
  readonly fileName: string
  readonly location: { readonly start: Place; readonly end: Place }
  readonly mutatorName: string
  readonly replacement: string
  readonly status: string
}
interface Place {
  readonly line: number
  readonly column: number
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    files: { type: 'string' },
    tests: { type: 'string' },
    sample: { type: 'string', default: '1' },
    seed: { type: 'string', default: 'rekey' },
    'ignore-static': { type: 'boolean', default: false },
  },
})

const isPart = (name: string): name is PartName => name in parts
const [name = 'domain'] = positionals
if (!isPart(name)) throw new Error(`There is no part "${name}": ${Object.keys(parts).join(', ')}`)
const part = parts[name]
const share = Number(values.sample)
const whole = share === 1 && values.files === undefined

if (!existsSync(core)) {
  process.stderr.write('StrykerJS is missing: npm ci in test/mutation\n')
  execFileSync('npm', ['ci', '--ignore-scripts'], { cwd: home, stdio: 'inherit' })
}

const { Stryker } = (await import(pathToFileURL(join(core, 'dist/src/index.js')).href)) as {
  Stryker: new (options: object) => { runMutationTest(): Promise<readonly Mutant[]> }
}
process.chdir(root)
mkdirSync('.mutation', { recursive: true })
const mutants = await new Stryker({
  mutate: values.files?.split(',') ?? part.mutate,
  testRunner: 'rekey',
  checkers: share === 1 ? [] : ['drawn'],
  ignorers: part.ignorers,
  plugins: [join(home, 'plugins.ts')],
  rekey: {
    tests: values.tests?.split(',') ?? part.tests,
    log: join(root, `.mutation/${name}.log`),
    setup: part.setup,
    sample: share === 1 ? null : { part: share, seed: values.seed },
  },
  coverageAnalysis: 'perTest',
  ignoreStatic: values['ignore-static'],
  concurrency: 1,
  // Loaded modules are never given back, and a run loads its test files anew.
  maxTestRunnerReuse: 300,
  // A loop without end is found by counting; this is for the mutant that waits for ever, on a machine that is busy.
  dryRunTimeoutMinutes: 60,
  timeoutMS: 300_000,
  timeoutFactor: 5,
  incremental: true,
  incrementalFile: `.mutation/${name}.json`,
  tempDirName: '.mutation/sandbox',
  ignorePatterns: ['.peers', '.rekey', 'docs', 'test/mutation'],
  // StrykerJS would rewrite it with a TypeScript older than ours; nothing here reads it.
  tsconfigFile: 'none',
  reporters: ['log'],
  allowConsoleColors: false,
  warnings: { unknownOptions: false, slow: false },
}).runMutationTest()

const counted = ['Killed', 'Timeout', 'Survived', 'NoCoverage'] as const
const count = (among: readonly Mutant[], status: string): number =>
  among.filter((mutant) => mutant.status === status).length
const scoreOf = (among: readonly Mutant[]): number => {
  const found = count(among, 'Killed') + count(among, 'Timeout')
  const all = found + count(among, 'Survived') + count(among, 'NoCoverage')
  return all === 0 ? 100 : (100 * found) / all
}
const pathOf = ({ fileName }: Mutant): string => relative(root, fileName)

const sources = new Map<string, readonly string[]>()
/** Where it is, what it was, what it became. */
const told = (mutant: Mutant): string => {
  const path = pathOf(mutant)
  const lines = sources.get(path) ?? readFileSync(join(root, path), 'utf8').split('\n')
  sources.set(path, lines)
  // Both count from one.
  const { start, end } = mutant.location
  const last = end.line - start.line
  const was = lines
    .slice(start.line - 1, end.line)
    .map((line, i) =>
      line.slice(i === 0 ? start.column - 1 : 0, i === last ? end.column - 1 : undefined),
    )
    .join('\n')
  const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 90)
  return `${path}:${start.line}:${start.column} ${mutant.status} ${mutant.mutatorName}: ${oneLine(was)} => ${oneLine(mutant.replacement)}`
}

const rowOf = (title: string, among: readonly Mutant[]): string =>
  [
    scoreOf(among).toFixed(1).padStart(6),
    ...counted.map((status) => String(count(among, status)).padStart(10)),
    `  ${title}`,
  ].join('')

const left = mutants.filter(({ status }) =>
  ['Survived', 'NoCoverage', 'RuntimeError'].includes(status),
)
const byFile = Map.groupBy(mutants, pathOf)
const report = [
  ...left.map(told).toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })),
  '',
  [' score', ...counted.map((status) => status.padStart(10)), '  file'].join(''),
  ...[...byFile]
    .toSorted(([a], [b]) => a.localeCompare(b, 'en'))
    .map(([path, among]) => rowOf(path, among)),
  rowOf(share === 1 ? name : `${name}, a share of ${share} drawn by "${values.seed}"`, mutants),
]
writeFileSync(join(root, `.mutation/${name}.txt`), `${report.join('\n')}\n`)
process.stdout.write(`${report.join('\n')}\n`)

if (whole && scoreOf(mutants) < part.least) {
  process.stderr.write(`${name}: below ${part.least} per cent\n`)
  process.exitCode = 1
}
