// Proof that the import rules bite: forbidden lines are planted in a copy of the tree's shape, one a direction, and each must
// be refused by the rule that names it; the allowed ones beside them must pass.

import { execFile } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

interface Plant {
  readonly file: string
  readonly line: string
  /** The rule that must refuse it; null: it must pass. */
  readonly rule: string | null
}

const imports = 'rekey(direction)'
const room = (name: string, ...rows: readonly (readonly [string, boolean])[]): readonly Plant[] =>
  rows.map(([from, allowed], i) => ({
    file: `src/${name}/planted-${i}.ts`,
    line: `import { x } from '${from}'\nexport const y = [x]`,
    rule: allowed ? null : imports,
  }))
const no = (from: string): readonly [string, boolean] => [from, false]
const yes = (from: string): readonly [string, boolean] => [from, true]

/** Rooms that may know the domain and nothing else of ours. */
const leaf = (name: string): readonly Plant[] =>
  room(
    name,
    yes('#domain/key.ts'),
    yes('node:crypto'),
    yes('./nested/sibling.ts'),
    no('#usecases/rotate.ts'),
    no('#store/ledger.ts'),
    no('#http/server.ts'),
    no('#worker/worker.ts'),
    no('#cli/client.ts'),
    no('#src/app.ts'),
    no('../store/ledger.ts'),
    no('../app.ts'),
    no('@prisma/client'),
  )

const ambient = (name: string, body: string, rule: string): readonly Plant[] => [
  { file: `src/usecases/${name}.ts`, line: body, rule },
  { file: `src/http/routes/${name}.ts`, line: body, rule },
]

const plants: readonly Plant[] = [
  ...room(
    'domain',
    yes('./key.ts'),
    yes('typebox'),
    yes('typebox/value'),
    yes('croner'),
    yes('yaml'),
    no('node:crypto'),
    no('pg'),
    no('typebox-x'),
    no('../usecases/rotate.ts'),
    no('#usecases/rotate.ts'),
    no('#runtime/clock.ts'),
    no('#store/ledger.ts'),
    no('@prisma/client'),
  ),
  ...room(
    'usecases',
    yes('./rotate.ts'),
    yes('#domain/key.ts'),
    no('#store/ledger.ts'),
    no('#providers/registry.ts'),
    no('#sinks/webhook/send.ts'),
    no('#runtime/clock.ts'),
    no('#http/server.ts'),
    no('#worker/worker.ts'),
    no('#src/config.ts'),
    no('../store/ledger.ts'),
    no('node:fs'),
    no('@prisma/client'),
  ),
  ...['audit', 'providers', 'sources', 'detections', 'sinks', 'runtime'].flatMap(leaf),
  ...room(
    'providers/vault',
    yes('#providers/define.ts'),
    no('#sinks/webhook/send.ts'),
    no('../../store/ledger.ts'),
  ),
  ...room('providers/postgres', yes('pg'), no('@prisma/adapter-pg')),
  ...room(
    'store',
    yes('#domain/key.ts'),
    yes('#audit/leaf.ts'),
    yes('@prisma/client'),
    yes('./generated/client.ts'),
    no('#usecases/rotate.ts'),
    no('#http/server.ts'),
    no('#providers/registry.ts'),
    no('../runtime/clock.ts'),
  ),
  ...(
    [
      ['http', '#worker/worker.ts'],
      ['worker', '#http/server.ts'],
    ] as const
  ).flatMap(([name, other]) =>
    room(
      name,
      no(other),
      yes('#domain/key.ts'),
      yes('#usecases/rotate.ts'),
      no('#store/ledger.ts'),
      no('#providers/registry.ts'),
      no('#sinks/webhook/send.ts'),
      no('#runtime/clock.ts'),
      no('#cli/client.ts'),
      no('#src/app.ts'),
      no('../store/ledger.ts'),
      no('@prisma/client'),
    ),
  ),
  ...room('http/routes', yes('../route.ts'), no('../../store/ledger.ts'), no('../../app.ts')),
  ...room(
    'cli/commands',
    yes('#domain/key.ts'),
    yes('#audit/verify.ts'),
    yes('../client.ts'),
    no('#http/server.ts'),
    no('#usecases/rotate.ts'),
    no('#store/ledger.ts'),
    no('#src/app.ts'),
    no('../../store/ledger.ts'),
    no('pg'),
  ),
  {
    file: 'src/domain/planted-type.ts',
    line: `import type { Socket } from 'node:net'\nexport type Y = Socket`,
    rule: null,
  },
  {
    file: 'src/cli/planted-type.ts',
    line: `import type { X } from '#http/schemas.ts'\nexport type Y = X`,
    rule: null,
  },
  {
    file: 'src/app.ts',
    line: `import { x } from '#store/ledger.ts'\nexport const y = x`,
    rule: null,
  },
  ...ambient('date-now', 'export const x = Date.now()', 'eslint(no-restricted-properties)'),
  ...ambient('new-date', 'export const x = new Date()', 'rekey(no-ambient-time)'),
  ...ambient('random', 'export const x = Math.random()', 'eslint(no-restricted-properties)'),
  ...ambient('uuid', 'export const x = crypto.randomUUID()', 'eslint(no-restricted-properties)'),
  ...ambient('timeout', 'setTimeout(() => {}, 1)', 'eslint(no-restricted-globals)'),
  ...ambient('interval', 'setInterval(() => {}, 1)', 'eslint(no-restricted-globals)'),
  ...ambient(
    'timers',
    `import { x } from 'node:timers/promises'\nexport const y = x`,
    'rekey(no-ambient-time)',
  ),
  ...ambient('env', 'export const x = process.env', 'node(no-process-env)'),
  ...ambient('barrel', `export * from './a.ts'\nexport * from './b.ts'`, 'oxc(no-barrel-file)'),
  {
    file: 'src/http/uuid-import.ts',
    line: `import { randomUUID } from 'node:crypto'\nexport const x = randomUUID`,
    rule: 'rekey(no-ambient-time)',
  },
  { file: 'src/http/date-of.ts', line: 'export const x = new Date(0)', rule: null },
  { file: 'src/config.ts', line: 'export const x = process.env', rule: null },
  { file: 'src/cli/environment.ts', line: 'export const x = process.env', rule: null },
  { file: 'src/cli/other.ts', line: 'export const x = process.env', rule: 'node(no-process-env)' },
  { file: 'src/runtime/now.ts', line: 'export const x = [Date.now(), new Date()]', rule: null },
  {
    file: 'test/now.ts',
    line: 'export const x = [Date.now(), new Date(), process.env]',
    rule: null,
  },
]

/** A sentence for every plant that was not treated as it must be. */
export const plantedFaults = async (root: string): Promise<readonly string[]> => {
  const dir = mkdtempSync(join(tmpdir(), 'rekey-planted-'))
  try {
    for (const path of ['scripts/lint-rules.ts', 'package.json']) {
      cpSync(join(root, path), join(dir, path))
    }
    // Without types: none of these rules asks for one.
    const config = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8')) as object
    const untyped = JSON.stringify({ ...config, options: {} })
    writeFileSync(join(dir, '.oxlintrc.json'), untyped)
    symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'))
    for (const { file, line } of plants) {
      mkdirSync(dirname(join(dir, file)), { recursive: true })
      writeFileSync(join(dir, file), `${line}\n`)
    }
    const found = await lint(root, dir)
    return plants.flatMap((plant) => judge(plant, found))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

type Finding = { readonly filename: string; readonly code: string }

const lint = (root: string, dir: string): Promise<readonly Finding[]> => {
  const bin = join(root, 'node_modules', '.bin')
  const env = { ...process.env, PATH: `${bin}:${process.env['PATH'] ?? ''}` }
  // oxlint ends with 1 when it finds something, as it must here: only what it wrote counts.
  return new Promise((resolve, reject) => {
    const args = ['-f', 'json']
    execFile(join(bin, 'oxlint'), args, { cwd: dir, env, maxBuffer: 2 ** 24 }, (_, out, err) => {
      try {
        resolve((JSON.parse(out) as { diagnostics: readonly Finding[] }).diagnostics)
      } catch {
        reject(new Error(`oxlint did not run: ${out}${err}`))
      }
    })
  })
}

const judge = ({ file, line, rule }: Plant, found: readonly Finding[]): readonly string[] => {
  const codes = found.filter((f) => f.filename === file).map((f) => f.code)
  const what = `${file}: \`${line.split('\n')[0]}\``
  if (rule === null) {
    return codes.length === 0 ? [] : [`${what} is allowed, and was refused by ${codes.join(', ')}`]
  }
  return codes.includes(rule) ? [] : [`${what} was not refused by ${rule}`]
}
