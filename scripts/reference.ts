// Reference pages that are drawn from tables in the code. `npm run docs` writes them; test/house/docs.test.ts fails while
// page and code differ. A page is a row.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { errorHelp } from '../src/domain/error-help.ts'
import { errors, type ErrorCode } from '../src/domain/errors.ts'
import { machine, phases, type Phase } from '../src/domain/rotation-machine.ts'
import { roles } from '../src/domain/actor.ts'
import { allowedBy, mayEnter } from '../src/http/access.ts'
import { productRoutes } from '../src/http/product-routes.ts'
import type { Route } from '../src/http/route.ts'
import { allRoutes } from '../src/http/server.ts'
import { exampleProblem } from '../src/http/problem.ts'
import { repeatable } from '../src/http/routes/problems.ts'
import { providers } from '../src/providers/registry.ts'
import { apiPage } from './api-page.ts'
import { cliPage, commandTable } from './cli-page.ts'
import { filesPage } from './files-page.ts'
import { generated, table } from './markdown.ts'
import { metricsPage } from './metrics-page.ts'
import { variablesPage } from './variables-page.ts'
import { emergencyHead, emergencyRows } from './emergency-table.ts'

export const root = join(import.meta.dirname, '..')

/** Path of a page, and its whole text. */
export const pages: Readonly<Record<string, () => string>> = {
  'docs/reference/rotation-machine.md': () => rotationPage(),
  'docs/reference/errors.md': () => errorPage(),
  'docs/reference/key-types.md': () => keyTypePage(),
  'docs/reference/access.md': () => accessPage(),
  'docs/reference/metrics.md': () => metricsPage(),
  'docs/reference/files.md': () => filesPage(),
  'docs/reference/api.md': () => apiPage(routes()),
  'docs/reference/cli.md': () => cliPage(),
  'docs/reference/variables.md': () => variablesPage(),
  'README.md': () =>
    withBlock(withBlock(read('README.md'), 'phases', phaseTable()), 'commands', commandTable()),
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** `text` with what stands between the markers of `name` replaced. */
export const withBlock = (text: string, name: string, block: string): string => {
  const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`]
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the markers of "${name}" are not there`)
  return `${text.slice(0, from + begin.length)}\n${block}\n${text.slice(to)}`
}

const undoWords = { cancel: 'cancel', steps: 'step by step', none: '–' } as const

const phaseTable = (): string =>
  table(
    ['phase', 'goes to', 'undo', 'a definite failure', 'writes at the provider'],
    phases.map((phase) => {
      const row = machine[phase]
      return [
        `\`${phase}\``,
        row.to.length === 0 ? 'the end' : row.to.map((to) => `\`${to}\``).join(', '),
        undoWords[row.undo],
        row.failure === null ? '–' : `\`${row.failure}\``,
        row.writes ? 'yes' : 'no',
      ]
    }),
  )

const rotationPage = (): string =>
  [
    '# The rotation machine',
    generated,
    'Two facts hold in every phase before `retiring`: the version that served when the rotation began can still be made to serve, and nothing that Rekey does not own was touched. No phase ends by timing out into destruction.',
    `## On the way\nForward and to the end. Every open phase may also go to \`stalled\` where the table says so, and from \`stalled\` a person leads back (\`resume\`), to undo (\`rollback\`) or out (\`abandon\`).\n\n\`\`\`mermaid\n${diagram()}\n\`\`\``,
    `## Every edge\n${phaseTable()}`,
    `## What each phase is\n${phases.map((phase) => `- **${phase}**: ${prose(phase)}`).join('\n')}`,
  ].join('\n\n') + '\n'

const diagram = (): string => {
  const arrows = phases
    .filter((phase) => phase !== 'stalled')
    .flatMap((phase) =>
      machine[phase].to.filter((to) => to !== 'stalled').map((to) => `  ${phase} --> ${to}`),
    )
  const ends = phases.filter((phase) => !machine[phase].open && phase !== 'abandoned')
  return [
    'stateDiagram-v2',
    '  [*] --> planned',
    ...arrows,
    ...ends.map((end) => `  ${end} --> [*]`),
  ].join('\n')
}

const endings: Partial<Record<Phase, string>> = {
  cancelled: 'Ended before anything was made.',
  rolledBack: 'Undone: the version that served before serves again.',
  abandoned: 'A person gave it up where it was: everything stays as it is at the provider.',
}

/** The paragraph of a phase in the comment that opens the machine's file. */
const prose = (phase: Phase): string => {
  const lines = read('src/domain/rotation-machine.ts').split('\n')
  const start = lines.findIndex((line) => line.startsWith(`// ${phase} `))
  if (start < 0) {
    const text = endings[phase]
    if (text === undefined) throw new Error(`rotation-machine.ts says nothing on "${phase}"`)
    return text
  }
  const rest = lines.slice(start + 1)
  const end = rest.findIndex((line) => !/^\/\/ {4,}\S/.test(line))
  return [
    lines[start]?.slice(`// ${phase} `.length) ?? '',
    ...rest.slice(0, end).map((line) => line.slice(2)),
  ]
    .map((line) => line.trim())
    .join(' ')
}

const codes = Object.keys(errors) as ErrorCode[]

const errorPage = (): string =>
  [
    '# Errors',
    generated,
    'Every refusal is `application/problem+json` (RFC 9457) with one of these codes in `code`; its `type` is `/problems/<code>`, a page that every Rekey serves and that says what stands here. *Retry* says whether the same request may succeed later.',
    table(
      ['code', 'status', 'title', 'retry'],
      codes.map((code) => {
        const { status, title, retry } = errors[code]
        return [`[\`${code}\`](#${anchorOf(code)})`, String(status), title, retry ? 'yes' : 'no']
      }),
    ),
    ...codes.map(errorSection),
  ].join('\n\n') + '\n'

/** As GitHub names a heading. */
const anchorOf = (code: string): string => code.toLowerCase().replaceAll('.', '')

const errorSection = (code: ErrorCode): string => {
  const { title, status } = errors[code]
  const { why, todo } = errorHelp[code]
  return [
    `## ${code}`,
    `**${title}.** Status ${status}. ${repeatable(code)}`,
    why,
    `**What to do.** ${todo}`,
    `\`\`\`json\n${JSON.stringify(exampleProblem(code), null, 2)}\n\`\`\``,
  ].join('\n\n')
}

const keyTypePage = (): string =>
  [
    '# Key types',
    generated,
    'What each type declares; the engine plans from this and nothing else. `slot`: how many versions can be valid at once. `staging`: whether a new version can exist before it is handed out. `undo`: how the old version is brought back. `suspend`: whether the old version can be switched off and on again before it is retired.',
    'The second table of each provider is what an incident does to the version that is in use, by its mode: `rotateFast` and `revokeOnly` end it as `revokeFirst` does, but what only a replacement ends `revokeOnly` cannot. What is switched off comes back by `rekey incident restore` in the mode `disable`, and never in the others. A preview says it of each version.',
    ...providers.map(
      (provider) =>
        `## ${provider.title}\n${table(
          [
            'type',
            'slot',
            'staging',
            'undo',
            'suspend',
            'revokes',
            'exactly once by',
            'value delivered',
            'operations',
          ],
          provider.types.map(({ type, traits }) => [
            `\`${type}\``,
            traits.slot,
            traits.staging,
            traits.undo,
            traits.suspend ? 'yes' : 'no',
            traits.revokes,
            traits.exactlyOnce,
            traits.deliver ? 'yes' : 'no',
            traits.operations.join(', ') || '–',
          ]),
        )}\n\nIn an emergency:\n\n${table(emergencyHead, emergencyRows(provider))}`,
    ),
  ].join('\n\n') + '\n'

/** Declarations do not look at what their handlers will be given. */
const routes = (): readonly Route[] =>
  allRoutes({
    routes: productRoutes({} as never),
    readiness: [],
    config: { version: '', perMinute: 0 },
  })

const accessPage = (): string => {
  const tags = [...Map.groupBy(routes(), (route) => route.tag)].toSorted(([a], [b]) =>
    a < b ? -1 : 1,
  )
  return (
    [
      '# Who may do what',
      generated,
      'The door of every route, by role. Only `admin` implies other roles. A token may carry several.',
      'Beyond the door, the thing itself is asked:',
      [
        '- **Scope.** A token with a scope (labels, connections) sees what lies in it; everything else answers 404, as if it were not there. A change is asked of the state before *and* after: nothing is moved out of a scope, nor into one.',
        '- **Labels.** Those under `rekey.dev/`, and those that any scope, grant or floor looks at, are changed by an admin only.',
        '- **Grants.** Who is no admin registers, adopts and publishes only what a grant of the connection covers, for the labels of the key.',
        '- **Consumers.** The role `consumer` is bound to a consumer or to keys: it reads and uses those keys, and acknowledges for that consumer, for the new version of a rotation alone.',
        '- **Two people.** Nobody approves what they requested. An override counts when two people said so, one of them an approver.',
        '- **Tokens.** Nobody makes a token that may do more than their own: not in roles, scope, addresses or life.',
      ].join('\n'),
      ...tags.map(([tag, operations]) => `## ${tag}\n${accessTable(operations)}`),
    ].join('\n\n') + '\n'
  )
}

const accessTable = (operations: readonly Route[]): string => {
  const named = operations.filter((route) => typeof allowedBy(route) !== 'string')
  const open = operations.filter((route) => typeof allowedBy(route) === 'string')
  return [
    ...(named.length === 0
      ? []
      : [
          table(
            ['operation', ...roles, 'with a scope'],
            named.map((route) => [
              operation(route),
              ...roles.map((role) => (mayEnter(route, role) ? 'yes' : '·')),
              route.unscoped ? 'never' : 'as far as it reaches',
            ]),
          ),
        ]),
    ...(open.length === 0
      ? []
      : [
          table(
            ['operation', 'needs'],
            open.map((route) => [
              operation(route),
              allowedBy(route) === 'everybody' ? 'no token' : 'any valid token',
            ]),
          ),
        ]),
  ].join('\n\n')
}

const operation = ({ method, path }: Route): string => `\`${method} ${path}\``
