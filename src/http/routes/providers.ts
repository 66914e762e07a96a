// The systems whose keys Rekey rotates, as they declare themselves: what a client needs to write a connection or a key.

import { Type } from 'typebox'
import type { Json, JsonObject } from '#domain/json.ts'
import type { KeyType, Provider } from '#domain/provider.ts'
import { propertiesOf, withoutIds } from '../input.ts'
import { route, type Route } from '../route.ts'
import { listOf, nullable, strict } from '../schemas.ts'

const anything = Type.Object({}, { additionalProperties: true })

const providerSchema = strict(
  {
    id: Type.String(),
    title: Type.String(),
    settingsSchema: anything,
    credentialSchema: nullable(anything),
    types: Type.Array(
      strict({
        type: Type.String(),
        title: Type.String(),
        traits: anything,
        refSchema: anything,
        generateSchema: anything,
        leastPrivilege: anything,
      }),
    ),
  },
  { $id: 'Provider' },
)

export const providerRoutes = ({
  providers,
}: {
  readonly providers: ReadonlyMap<string, Provider>
}): readonly Route[] => {
  return [
    route({
      method: 'GET',
      path: '/v1/providers',
      operationId: 'listProviders',
      tag: 'providers',
      summary: 'Providers, their key types, and the least rights that each needs',
      access: 'authenticated',
      list: true,
      replies: { 200: listOf(providerSchema) },
      handler: async ({ page, pageReply }) => {
        const sorted = [...providers.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
        const { after } = page
        const rest = sorted.filter(({ id }) => after === null || id > after)
        const items = rest.slice(0, page.limit)
        const next = rest.length > items.length ? (items.at(-1)?.id ?? null) : null
        return { status: 200, body: pageReply({ items, next }, present) }
      },
    }),
  ]
}

const present = ({ id, title, settingsSchema, credentialSchema, types }: Provider) => ({
  id,
  title,
  settingsSchema: schemaJson(settingsSchema),
  credentialSchema: credentialSchema === null ? null : schemaJson(credentialSchema),
  types: types.map((type) => ({
    type: type.type,
    title: type.title,
    traits: { ...type.traits },
    refSchema: schemaJson(type.refSchema),
    generateSchema: schemaJson(type.generateSchema),
    leastPrivilege: type.leastPrivilege(exampleRef(type)),
  })),
})

/** A schema is JSON by definition. */
const schemaJson = (schema: unknown): JsonObject => withoutIds(schema) as JsonObject

/** The document is drawn for one ref; where there is none yet, each of its parts stands there by its own name: `MOUNT`. */
const exampleRef = ({ refSchema }: KeyType): JsonObject => exampleOf(refSchema)

const exampleOf = (of: unknown): JsonObject =>
  Object.fromEntries(
    Object.entries(propertiesOf(of)).map(([name, schema]): [string, Json] => {
      if (schema['default'] !== undefined) return [name, schema['default'] as Json]
      if (Array.isArray(schema['enum'])) return [name, schema['enum'][0] as Json]
      const placeholder = name.toUpperCase()
      if (schema['type'] === 'object') return [name, exampleOf(schema)]
      if (schema['type'] === 'integer') return [name, 1]
      if (schema['type'] !== 'array') return [name, placeholder]
      const least = typeof schema['minItems'] === 'number' ? schema['minItems'] : 1
      return [
        name,
        least > 1
          ? Array.from({ length: least }, (_, i) => `${placeholder}_${i + 1}`)
          : [placeholder],
      ]
    }),
  )
