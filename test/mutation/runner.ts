// The test runner that StrykerJS is given, in a process that it starts and, after a time-out, ends.
//
// Sources and tests are loaded once. A mutant that is met only at run time is switched on by its number; one that is met
// while a module loads (a table, a schema) gets modules of its own: every file of the sandbox is asked for under a new
// address, `?generation=n`, so that nothing made under another mutant is seen.

import { globSync, readFileSync } from 'node:fs'
import { registerHooks, stripTypeScriptTypes } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { collect, provide, runSuite, type Test } from './suite.ts'

const standIn = new URL('suite.ts', import.meta.url).href

/** What instrumented code reads and counts. */
interface Switchboard {
  activeMutant?: string | undefined
  currentTestId?: string | undefined
  hitCount?: number | undefined
  hitLimit?: number | undefined
  mutantCoverage?: unknown
}
const board = ((globalThis as Record<string, unknown>)['__stryker__'] ??= {}) as Switchboard

interface MutantRun {
  readonly activeMutant: { readonly id: string; readonly fileName: string }
  readonly testFilter?: readonly string[]
  readonly hitLimit?: number
  readonly mutantActivation: 'runtime' | 'static'
}

interface Result {
  readonly id: string
  readonly name: string
  readonly fileName: string
  readonly timeSpentMs: number
  readonly status: 0 | 1
  readonly failureMessage?: string
}

let generation = 0
const stripped = new Map<string, string>()

const followMutants = (sandbox: string): void => {
  const ours = pathToFileURL(`${sandbox}/`).href
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === 'vitest' && context.parentURL !== standIn)
        return { url: standIn, shortCircuit: true }
      const found = next(specifier, context)
      if (!found.url.startsWith(ours) || found.url.includes('/node_modules/')) return found
      // A test file is loaded anew for each run (`load`); what it imports, once a generation.
      const [path, asked] = found.url.split('?')
      const load = asked?.startsWith('load=') ? `&${asked}` : ''
      return { ...found, url: `${path}?generation=${generation}${load}` }
    },
    load: (url, context, next) => {
      if (!url.startsWith(ours) || !url.includes('.ts?')) return next(url, context)
      const path = fileURLToPath(url)
      const source = stripped.get(path) ?? stripTypeScriptTypes(readFileSync(path, 'utf8'))
      stripped.set(path, source)
      return { format: 'module', source, shortCircuit: true }
    },
  })
}

export const makeRunner = (options: {
  readonly rekey: { readonly tests: readonly string[]; readonly setup: string | null }
}) => {
  const sandbox = process.cwd()
  const files = globSync([...options.rekey.tests], { cwd: sandbox }).toSorted()
  const times = new Map<string, number>()
  const stray: string[] = []
  let loads = 0
  let tidy: (() => Promise<void>) | null = null

  const idOf = (file: string, { name }: Test): string => `${file}#${name}`
  const load = (file: string): Promise<unknown> => {
    loads += 1
    return import(`${pathToFileURL(join(sandbox, file)).href}?load=${loads}`)
  }

  /** Runs the chosen tests, file by file, until one fails if `bail`. */
  const run = async (
    order: readonly string[],
    chosen: ReadonlySet<string> | null,
    bail: boolean,
    onSuite: () => void = () => {},
  ): Promise<readonly Result[]> => {
    const results: Result[] = []
    for (const fileName of order) {
      let began = 0
      board.currentTestId = undefined
      const suite = await collect(() => load(fileName)).catch((error: unknown) => String(error))
      const ended = (name: string, failureMessage: string | null): boolean => {
        board.currentTestId = undefined
        const timeSpentMs = performance.now() - began
        const id = `${fileName}#${name}`
        const failure = failureMessage ?? stray[0] ?? null
        stray.length = 0
        const told = { id, name: id, fileName, timeSpentMs }
        results.push(
          failure === null
            ? { ...told, status: 0 }
            : { ...told, status: 1, failureMessage: failure },
        )
        return failure === null || !bail
      }
      if (typeof suite === 'string') {
        if (!ended('loads', suite)) break
        continue
      }
      onSuite()
      const on = await runSuite(suite, {
        chosen: (test) => chosen === null || chosen.has(idOf(fileName, test)),
        starts: (test) => {
          began = performance.now()
          board.currentTestId = idOf(fileName, test)
        },
        ends: (test, failure) => ended(test.name, failure),
      })
      if (!on) break
    }
    return results
  }

  /** The file that is named like the source first, the slow ones last: most mutants die in the first. */
  const orderFor = (source: string, among: readonly string[]): readonly string[] => {
    const stem = basename(source).replace(/\.ts$/, '')
    const weight = (file: string): number =>
      basename(file).startsWith(stem) ? -1 : (times.get(file) ?? 0)
    return among.toSorted((a, b) => weight(a) - weight(b))
  }

  return {
    capabilities: () => ({ reloadEnvironment: true }),
    init: async (): Promise<void> => {
      process.env['VITEST'] = 'true'
      process.env['NODE_ENV'] = 'test'
      process.on('unhandledRejection', (error) => stray.push(`nobody awaited: ${String(error)}`))
      process.on('uncaughtException', (error) => stray.push(`nobody caught: ${String(error)}`))
      followMutants(sandbox)
      if (options.rekey.setup === null) return
      const setup = (await load(options.rekey.setup)) as {
        default(project: { provide: typeof provide }): Promise<() => Promise<void>>
      }
      tidy = await setup.default({ provide })
    },
    dryRun: async () => {
      board.activeMutant = undefined
      const tests = await run(files, null, false)
      // As it is now: what runs later is counted on.
      return { status: 'complete', tests, mutantCoverage: structuredClone(board.mutantCoverage) }
    },
    mutantRun: async ({ activeMutant, testFilter, hitLimit, mutantActivation }: MutantRun) => {
      const began = performance.now()
      const whileLoading = mutantActivation === 'static'
      if (whileLoading) generation += 1
      board.hitCount = 0
      board.hitLimit = hitLimit
      board.activeMutant = whileLoading ? activeMutant.id : undefined
      const chosen = testFilter === undefined ? null : new Set(testFilter)
      const wanted = files.filter(
        (file) => !chosen || testFilter?.some((id) => id.startsWith(`${file}#`)),
      )
      const results = await run(orderFor(activeMutant.fileName, wanted), chosen, true, () => {
        board.activeMutant = activeMutant.id
      })
      board.activeMutant = undefined
      if (whileLoading) generation += 1
      const duration = performance.now() - began
      const nrOfTests = results.length
      if (hitLimit !== undefined && board.hitCount > hitLimit)
        return {
          status: 'timeout',
          reason: `Hit limit reached (${board.hitCount}/${hitLimit})`,
          duration,
        }
      const failed = results.find(({ status }) => status === 1)
      return failed === undefined
        ? { status: 'survived', nrOfTests, duration }
        : {
            status: 'killed',
            nrOfTests,
            duration,
            killedBy: [failed.id],
            failureMessage: failed.failureMessage,
          }
    },
    dispose: async (): Promise<void> => {
      await tidy?.()
    },
  }
}
