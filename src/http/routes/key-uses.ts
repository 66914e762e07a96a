// What hangs on a key: who used which version when, and who would notice if it were revoked.

import { Type } from 'typebox'
import { versionStates } from '#domain/key.ts'
import type { Clock, Sessions } from '#domain/ports.ts'
import type { Provider } from '#domain/provider.ts'
import {
  ageOf,
  type Edge,
  type EdgeSource,
  edgeSources,
  getBlastRadius,
  nodeKinds,
} from '#usecases/blast-radius.ts'
import { getKeyUsage, type KeyUsage } from '#usecases/key-usage.ts'
import { dotMediaType, type DotNode, dotOf, wantsDot } from '../dot.ts'
import { type Route, route } from '../route.ts'
import { momentSchema, nameParams, nullable, strict } from '../schemas.ts'

export interface KeyUsesRoutesDeps {
  readonly providers: ReadonlyMap<string, Provider>
  readonly sessions: Sessions
  readonly clock: Clock
}

const usageSchema = strict(
  {
    key: Type.String(),
    source: nullable(
      strict({
        text: Type.String({ examples: ['Rekey itself, which hands out every use'] }),
        lagSeconds: Type.Integer({ examples: [0] }),
      }),
    ),
    versions: Type.Array(
      strict({
        version: Type.Integer(),
        state: Type.Enum([...versionStates]),
        primary: Type.Boolean(),
        lastUsedAt: nullable(momentSchema),
        detail: nullable(Type.String(), { examples: [null] }),
      }),
      { description: 'active and suspended ones, by what the provider says of their last use' },
    ),
    uses: Type.Array(
      strict({
        actor: Type.String(),
        consumer: nullable(Type.String()),
        operation: Type.String({ examples: ['read'] }),
        version: Type.Integer(),
        uses: Type.Integer({ examples: [40] }),
        firstAt: momentSchema,
        lastAt: momentSchema,
      }),
      { description: 'what went through Rekey since `since`, the last used first' },
    ),
    acknowledgements: Type.Array(
      strict({
        consumer: Type.String(),
        version: Type.Integer(),
        at: momentSchema,
        evidence: nullable(Type.String()),
      }),
      { description: 'newest first' },
    ),
    since: momentSchema,
    complete: Type.Boolean({ description: 'false: there were too many uses to look at them all' }),
  },
  { $id: 'KeyUsage' },
)

const presentUsage = ({ key, source, versions, through, acknowledgements }: KeyUsage) => ({
  key: key.name,
  source: source && { text: source.text, lagSeconds: Math.ceil(source.lagMs / 1000) },
  versions: versions.map(({ version, lastUsedAt, detail }) => ({
    version: version.version,
    state: version.state,
    primary: version.primary,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
    detail,
  })),
  uses: through.items.map((use) => ({
    ...use,
    firstAt: use.firstAt.toISOString(),
    lastAt: use.lastAt.toISOString(),
  })),
  acknowledgements: acknowledgements.map(({ consumer, version, at, evidence }) => ({
    consumer,
    version,
    at: at.toISOString(),
    evidence,
  })),
  since: through.since.toISOString(),
  complete: through.complete,
})

const nodeSchema = strict({
  kind: Type.Enum([...nodeKinds]),
  name: Type.String(),
})

const edgeSchema = strict({
  from: nodeSchema,
  to: nullable(nodeSchema),
  source: Type.Enum(Object.keys(edgeSources) as EdgeSource[], {
    examples: ['acknowledged'],
    description: 'how it is known',
  }),
  confidence: Type.Enum(['observed', 'declared', 'unknown'], {
    description: 'seen to be so, written down by somebody, or neither',
  }),
  at: nullable(momentSchema),
  age: nullable(Type.String({ description: 'since then', examples: ['3d'] })),
  detail: Type.String({ examples: ['said that it uses version 2'] }),
})

const presentEdge = (edge: Edge, now: Date) => ({
  ...edge,
  confidence: edgeSources[edge.source],
  at: edge.at?.toISOString() ?? null,
  age: ageOf(edge.at, now),
})

type ShownEdge = ReturnType<typeof presentEdge>

const shapes = {
  key: 'box',
  consumer: 'ellipse',
  principal: 'ellipse',
  connection: 'component',
  publishTarget: 'cylinder',
} as const satisfies Record<(typeof nodeKinds)[number], DotNode['shape']>
const styles = { observed: 'solid', declared: 'dashed', unknown: 'dotted' } as const

/** Solid: seen; dashed: written down; dotted: not known, and a node of its own for each. */
const asDot = (name: string, edges: readonly ShownEdge[]): string => {
  const known = new Map<string, DotNode>()
  const idOf = ({ kind, name: called }: NonNullable<ShownEdge['to']>): string => {
    const id = `${kind}/${called}`
    known.set(id, {
      id,
      label: kind === 'key' ? called : `${called}\n${kind}`,
      shape: shapes[kind],
    })
    return id
  }
  const unknown = (i: number): string => {
    const id = `unknown/${i}`
    known.set(id, { id, label: 'unknown', shape: 'plaintext' })
    return id
  }
  idOf({ kind: 'key', name })
  const drawn = edges.map(({ from, to, source, age, confidence, detail }, i) => ({
    from: idOf(from),
    to: to === null ? unknown(i) : idOf(to),
    label: `${source === 'nobody' ? detail : source}${age === null ? '' : `, ${age} ago`}`,
    style: styles[confidence],
  }))
  return dotOf(name, [...known.values()], drawn)
}

const readers = ['viewer', 'operator', 'approver', 'responder', 'auditor'] as const

export const keyUsesRoutes = (deps: KeyUsesRoutesDeps): readonly Route[] => [
  route({
    method: 'GET',
    path: '/v1/keys/{name}/usage',
    operationId: 'getKeyUsage',
    tag: 'keys',
    summary: 'Who used which version, and when',
    description:
      'By what went through Rekey, by what consumers acknowledged, and by what the provider says. What nobody tells is null, with the reason: silence is not disuse. A version that was never used has the moment at which it was made.',
    access: [...readers],
    params: nameParams,
    replies: { 200: usageSchema },
    handler: async ({ ledger, actor, params: { name } }) => ({
      status: 200,
      body: presentUsage(await getKeyUsage({ ...deps, ledger })(actor, name)),
    }),
  }),
  route({
    method: 'GET',
    path: '/v1/keys/{name}/blast-radius',
    operationId: 'getBlastRadius',
    tag: 'keys',
    summary: 'What would notice if the key were revoked',
    description:
      'Consumers, targets that it is published to and their readers, connections that use it as their credential. An edge whose `to` is null says that somebody may be there and Rekey does not know who. With `Accept: text/vnd.graphviz` as a graph to be drawn (`dot -Tsvg`).',
    access: [...readers],
    params: nameParams,
    replies: {
      200: strict({ key: Type.String(), edges: Type.Array(edgeSchema) }, { $id: 'BlastRadius' }),
    },
    mediaTypes: [dotMediaType],
    handler: async ({ ledger, actor, params: { name }, header }) => {
      const found = await getBlastRadius({ ...deps, ledger })(actor, name)
      const now = deps.clock.now()
      const edges = found.map((edge) => presentEdge(edge, now))
      if (!wantsDot(header('accept'))) return { status: 200, body: { key: name, edges } }
      return {
        status: 200,
        // The declaration's `mediaTypes` let the body be text.
        body: asDot(name, edges) as never,
        mediaType: `${dotMediaType}; charset=utf-8`,
      }
    },
  }),
]
