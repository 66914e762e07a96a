// The alerts and the dashboard as the tests look at them.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

export const root = join(import.meta.dirname, '..', '..')
export const alertsFile = join(root, 'docs', 'observability', 'alerts.yaml')
export const alertTestsFile = join(root, 'docs', 'observability', 'alerts.test.yaml')

export interface Rule {
  readonly record?: string
  readonly alert?: string
  readonly expr: string
  readonly for?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
}

export const rules: readonly Rule[] = (
  parse(readFileSync(alertsFile, 'utf8')) as { groups: readonly { rules: readonly Rule[] }[] }
).groups.flatMap((group) => group.rules)

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly targets?: readonly { readonly expr: string }[]
}

export const panels: readonly Panel[] = (
  JSON.parse(readFileSync(join(root, 'docs', 'observability', 'dashboard.json'), 'utf8')) as {
    panels: readonly Panel[]
  }
).panels

/** Names of metrics in an expression; a name with colons is recorded by a rule. */
export const metricsIn = (expr: string): readonly string[] => [
  ...new Set(expr.match(/\b(?:rekey|process|nodejs)[_:][a-z0-9_:]+/g) ?? []),
]

/** All that rules and dashboard ask of processes. */
export const asked = (): ReadonlySet<string> =>
  new Set(
    [...rules, ...panels.flatMap((panel) => panel.targets ?? [])]
      .flatMap(({ expr }) => metricsIn(expr))
      .filter((name) => !name.includes(':')),
  )

/** Names of series that a text for Prometheus has, or would have. */
export const seriesOf = (text: string): ReadonlySet<string> =>
  new Set(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', kind]) =>
      kind === 'histogram' || kind === 'summary'
        ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]
        : [name],
    ),
  )
