// Plans as a test makes them: documents in, plan out, applied by whom it likes.

import type { Actor } from '#domain/actor.ts'
import type { DocumentKind } from '#domain/document-kinds.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Plan, PlanItem } from '#domain/plan.ts'
import { applyPlan, type AppliedPlan } from '#usecases/apply-plan.ts'
import { approvePlan } from '#usecases/approve-plan.ts'
import { makePlan, type MakePlan } from '#usecases/make-plan.ts'
import { getPlan } from '#usecases/see-plan.ts'
import type { Source } from '#domain/validate-document.ts'
import { admin, type House, rehearsing } from './house.ts'

export interface Document {
  readonly apiVersion: string
  readonly kind: DocumentKind
  readonly metadata: JsonObject & { readonly name: string }
  readonly spec: JsonObject
}

const document = (
  kind: DocumentKind,
  name: string,
  spec: JsonObject,
  labels: JsonObject = {},
): Document => ({
  apiVersion: 'rekey.dev/v1',
  kind,
  metadata: { name, ...(Object.keys(labels).length === 0 ? {} : { labels }) },
  spec,
})

export const policyOf = (name: string, app: string, more: JsonObject = {}): Document =>
  document('RotationPolicy', name, {
    selector: { matchLabels: { app } },
    schedule: { cron: '0 3 1 * *', timezone: 'Europe/Paris' },
    ...more,
  })

export const keyOf = (name: string, app: string, more: JsonObject = {}): Document =>
  document(
    'Key',
    name,
    {
      connection: 'vault',
      type: 'local.secret',
      purpose: 'tests',
      owner: 'team',
      environment: 'test',
      create: true,
      ...more,
    },
    { app },
  )

export const consumerOf = (name: string, more: JsonObject = {}, labels: JsonObject = {}) =>
  document('Consumer', name, { owner: 'team', ...more }, labels)

export const connectionOf = (name: string, more: JsonObject = {}, labels: JsonObject = {}) =>
  document('Connection', name, { provider: 'local', ...more }, labels)

export const yamlOf = (...documents: readonly Document[]): string =>
  documents.map((one) => `${JSON.stringify(one)}\n`).join('---\n')

export const plansOf = (house: House) => {
  const withLedger = (dryRun: boolean) => ({
    ...house.deps,
    ledger: dryRun ? rehearsing(house.ledger) : house.ledger,
  })
  const plan = async (
    documents: readonly (Document | Source)[],
    more: Partial<Omit<MakePlan, 'sources'>> & {
      readonly by?: Actor
      readonly dryRun?: boolean
    } = {},
  ): Promise<Plan> => {
    const { by = admin, dryRun = false, ...input } = more
    const sources = documents.map((one): Source => ('kind' in one ? { value: one } : one))
    const sent = { owner: null, prune: false, allow: [], ...input, sources }
    return (await makePlan(withLedger(dryRun))(by, sent)).value
  }
  const apply = (
    { id, hash }: Pick<Plan, 'id' | 'hash'>,
    by: Actor = admin,
    dryRun = false,
  ): Promise<AppliedPlan> => applyPlan(withLedger(dryRun))(by, { id, hash, dryRun })
  return {
    plan,
    apply,
    approve: ({ id, hash }: Pick<Plan, 'id' | 'hash'>, by: Actor) =>
      approvePlan(house.deps)(by, { id, hash }),
    see: (id: string, by: Actor = admin) => getPlan(house.deps)(by, id),
    planAndApply: async (...input: Parameters<typeof plan>) =>
      apply(await plan(...input), input[1]?.by ?? admin),
  }
}

/** `create key/a`, in the order of the plan. */
export const actions = ({ items }: { readonly items: readonly PlanItem[] }): readonly string[] =>
  items.map(({ action, kind, name }) => `${action} ${kind} ${name}`)

export const item = (plan: Plan, kind: DocumentKind, name: string): PlanItem => {
  const found = plan.items.find((one) => one.kind === kind && one.name === name)
  if (!found) throw new Error(`the plan has no ${kind} ${name}: ${actions(plan).join(', ')}`)
  return found
}

export const texts = ({ effects }: PlanItem): readonly string[] => effects.map(({ text }) => text)
