// What StrykerJS is given of ours: the runner, the rule about prose, and the drawing of a sample.

import { createHash } from 'node:crypto'
import { appendFileSync, writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import { makeRunner } from './runner.ts'

interface Node {
  readonly type: string
  readonly value?: unknown
  readonly quasis?: readonly { readonly value: { readonly raw: string } }[]
  readonly expressions?: readonly Node[]
  readonly expression?: Node
}

const ofWords = (text: string): boolean => /\S\s+\S/.test(text)
const simple = new Set(['Identifier', 'MemberExpression'])

/** A text of several words is read by people. A test that fails without it would have to say it a second time. */
const prose = {
  shouldIgnore: ({ node }: { readonly node: Node }): string | undefined => {
    const told =
      (node.type === 'StringLiteral' && ofWords(String(node.value))) ||
      (node.type === 'TemplateLiteral' &&
        (node.quasis ?? []).some(({ value }) => ofWords(value.raw)) &&
        (node.expressions ?? []).every(({ type }) => simple.has(type)))
    return told ? 'prose' : undefined
  },
}

const typesOnly = new Set(['TSTypeAliasDeclaration', 'TSInterfaceDeclaration', 'TSLiteralType'])

/** What is gone before anything runs. StrykerJS looks for mutants in literal types too, and then cannot place them. */
const types = {
  shouldIgnore: ({ node }: { readonly node: Node }): string | undefined => {
    const checked = node.type === 'ExpressionStatement' && node.expression?.type
    return typesOnly.has(node.type) || checked === 'TSSatisfiesExpression' ? 'a type' : undefined
  },
}

interface Mutant {
  readonly id: string
  readonly fileName: string
  readonly mutatorName: string
  readonly replacement: string
  readonly location: { readonly start: object; readonly end: object }
}

interface Sample {
  readonly part: number
  readonly seed: string
}

/** A number from 0 up to 1 that belongs to the mutant and the seed: the same are drawn wherever the run is repeated. */
const lotOf = (seed: string, mutant: Mutant): number => {
  const { fileName, mutatorName, replacement, location } = mutant
  const what = [seed, relative(process.cwd(), fileName), mutatorName, replacement, location]
  return createHash('sha256').update(JSON.stringify(what)).digest().readUInt32BE() / 2 ** 32
}

const makeDrawing = (options: { readonly rekey: { readonly sample: Sample | null } }) => ({
  init: async (): Promise<void> => {},
  group: async (mutants: readonly Mutant[]) => [mutants.map(({ id }) => id)],
  check: async (mutants: readonly Mutant[]) => {
    const { sample } = options.rekey
    return Object.fromEntries(
      mutants.map((mutant) => [
        mutant.id,
        sample === null || lotOf(sample.seed, mutant) < sample.part
          ? { status: 'passed' }
          : { status: 'compileError', reason: 'not drawn' },
      ]),
    )
  },
})

/** What lives is written down when it is seen: a whole run may take a night. */
const makeLog = ({ rekey }: { readonly rekey: { readonly log: string } }) => {
  writeFileSync(rekey.log, '')
  return {
    onMutantTested: (
      mutant: Mutant & { readonly status: string; readonly static?: boolean },
    ): void => {
      const { fileName, location, mutatorName, replacement, status } = mutant
      appendFileSync(
        rekey.log,
        `${JSON.stringify({ fileName, location, mutatorName, replacement, status, static: mutant.static })}\n`,
      )
    },
  }
}

const withOptions = <F extends object>(factory: F): F =>
  Object.assign(factory, { inject: ['options'] })

export const strykerPlugins = [
  { kind: 'TestRunner', name: 'rekey', factory: withOptions(makeRunner) },
  { kind: 'Checker', name: 'drawn', factory: withOptions(makeDrawing) },
  { kind: 'Reporter', name: 'log', factory: withOptions(makeLog) },
  { kind: 'Ignore', name: 'prose', value: prose },
  { kind: 'Ignore', name: 'types', value: types },
]
