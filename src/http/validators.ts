// Two Ajv instances. Query and path arrive as text and are coerced; a body is of the type that it says, or it is refused
// ("5" is no number). Nothing is removed: Fastify's default would make unknown fields vanish. `allErrors` tells a person all
// mistakes at once, and is affordable because bodies are small. TypeBox's own compiler is not used here: it ignores shared schemas.
//
// A schema is compiled when the first value of it arrives: to compile those of every route took a third of a start.

import { AjvCompiler } from '@fastify/ajv-compiler'
import type { FastifySchemaCompiler } from 'fastify'
import { withoutIds } from './input.ts'

type Validate = ReturnType<FastifySchemaCompiler<unknown>>

/** `httpPart` is Fastify's: body, querystring, params, headers. */
export type Validators = (schema: unknown, httpPart: string) => Validate

export const makeValidators = (): Validators => {
  const build = AjvCompiler()
  const compilerOf = (coerceTypes: false | 'array') =>
    build(
      {},
      {
        customOptions: {
          coerceTypes,
          removeAdditional: false,
          allErrors: true,
          useDefaults: false,
          verbose: true,
        },
      },
    )
  const exact = compilerOf(false)
  const coercing = compilerOf('array')
  return (schema, httpPart) => {
    const compile = httpPart === 'body' ? exact : coercing
    return lazily(() => compile({ schema: withoutIds(schema), method: '', url: '', httpPart }))
  }
}

/** As Ajv's own, it keeps what it found wrong in `errors`. */
const lazily = (compile: () => Validate): Validate => {
  let compiled: Validate | undefined
  const validate: Validate = (value) => {
    compiled ??= compile()
    const verdict = compiled(value)
    validate.errors = compiled.errors ?? null
    return verdict
  }
  return validate
}
