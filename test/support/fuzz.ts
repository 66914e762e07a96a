// Schemathesis over a running server: requests that nobody here thought of, made from the OpenAPI document alone.

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { peers } from '#test/peers/peers.ts'
import { runCommand } from '#test/peers/run-command.ts'

export interface FuzzOptions {
  readonly url: string
  /** Null: no token. */
  readonly token: string | null
  /** Requests that are made up for an operation, beside those that its schema and its examples lead to. */
  readonly examples: number
  readonly phases: readonly ('examples' | 'coverage' | 'fuzzing' | 'stateful')[]
}

export interface Fuzzed {
  readonly requests: number
  /** A line each: the check, the operation, the status, what was sent. */
  readonly failures: readonly string[]
  /** `GET /v1/keys` → the statuses that it was answered with. */
  readonly statuses: ReadonlyMap<string, ReadonlySet<number>>
}

const folder = join(import.meta.dirname, '..', 'peers', 'schemathesis')

export const fuzz = async ({ url, token, examples, phases }: FuzzOptions): Promise<Fuzzed> => {
  const binary = peers.schemathesis.find()
  if (binary === null) throw new Error('Schemathesis is not here: run `npm run peers`')
  const dir = await mkdtemp(join(tmpdir(), 'rekey-fuzz-'))
  const report = join(dir, 'report.ndjson')
  try {
    const { code, tail } = await runCommand(
      binary,
      [
        ...['--no-color', 'run', `${url}/openapi.json`],
        ...['--max-examples', String(examples), '--phases', phases.join(',')],
        ...['--report', 'ndjson', '--report-ndjson-path', report],
      ],
      {
        // Its settings and hooks lie there. The token is in the environment: arguments can be seen by everybody.
        cwd: folder,
        env: {
          FUZZ_AUTHORIZATION: token === null ? '' : `Bearer ${token}`,
          PYTHONDONTWRITEBYTECODE: '1',
        },
        say: () => undefined,
        what: 'schemathesis',
      },
    )
    // 1: some check failed, which the report tells. Anything else is no judgement.
    if (code !== 0 && code !== 1) throw new Error(`schemathesis ended with ${code}:\n${tail}`)
    const fuzzed = read(await readFile(report, 'utf8'))
    if (code === 1 && fuzzed.failures.length === 0) throw new Error(`schemathesis failed:\n${tail}`)
    return fuzzed
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** The part of its report that is read here. */
interface Scenario {
  readonly recorder: {
    readonly cases?: Readonly<Record<string, { readonly value: Case }>>
    readonly checks?: Readonly<Record<string, readonly Check[]>>
    readonly interactions?: Readonly<Record<string, { readonly response: Answer | null }>>
  }
}
interface Case {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly query?: unknown
  readonly headers?: unknown
  readonly path_parameters?: unknown
}
interface Check {
  readonly name: string
  readonly status: string
}
interface Answer {
  readonly status_code: number
  readonly content?: { readonly $base64?: string } | null
}

const read = (report: string): Fuzzed => {
  const failures = new Set<string>()
  const statuses = new Map<string, Set<number>>()
  let requests = 0
  for (const line of report.split('\n')) {
    if (line === '') continue
    const scenario = (JSON.parse(line) as { ScenarioFinished?: Scenario }).ScenarioFinished
    if (scenario === undefined) continue
    const { cases = {}, checks = {}, interactions = {} } = scenario.recorder
    for (const [id, { response }] of Object.entries(interactions)) {
      requests += 1
      const sent = cases[id]?.value
      if (sent === undefined || response === null) continue
      const operation = `${sent.method} ${sent.path}`
      const seen = statuses.get(operation) ?? new Set()
      statuses.set(operation, seen.add(response.status_code))
      // A server that sheds load looks at no token: 503 says when to come again, whoever asks.
      for (const { name, status } of checks[id] ?? [])
        if (status !== 'success' && !(name === 'ignored_auth' && response.status_code === 503))
          failures.add(failureOf(name, sent, response))
    }
  }
  return { requests, failures: [...failures], statuses }
}

const failureOf = (check: string, sent: Case, { status_code, content }: Answer): string => {
  const { method, path, body, query, headers, path_parameters } = sent
  const answer = Buffer.from(content?.$base64 ?? '', 'base64')
    .toString('utf8')
    .slice(0, 600)
  const request = JSON.stringify({ path_parameters, query, headers, body }).slice(0, 1000)
  return `${check}: ${method} ${path} → ${status_code}\n  sent ${request}\n  got  ${answer}`
}
