// Bodies: JSON everywhere, YAML where the route says so; UTF-8 without exceptions. Both readers refuse what is ambiguous or
// would exhaust us, and characters that make a person read something else than the machine does.

import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RekeyError } from '#domain/errors.ts'
import { pointerOf } from '#domain/issue.ts'
import { readYaml } from '#domain/yaml-document.ts'
import { forbiddenCharacter } from '#domain/yaml-guard.ts'
import { parseJsonText } from '#domain/json-text.ts'
import { headerOf, routeOf } from './request-state.ts'

export const yamlMediaTypes = ['application/yaml', 'application/x-yaml', 'text/yaml'] as const

/** Replaces Fastify's own readers: they take `text/plain`, say nothing of places and repeat the body in their errors. */
export const readBodies = (app: FastifyInstance): void => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, bytes: Buffer) => {
      if (bytes.length === 0) return emptyBody(request)
      const value = parseJsonText(textOf(bytes))
      refuseCharacters(value, [])
      return value
    },
  )
  app.addContentTypeParser<Buffer>(
    [...yamlMediaTypes],
    { parseAs: 'buffer' },
    async (request: FastifyRequest, bytes: Buffer) => {
      const yaml = routeOf(request)?.yaml
      if (!yaml) throw unsupported('This route takes application/json only.')
      if (bytes.length === 0) return emptyBody(request)
      if (yaml === 'stream') return { documents: textOf(bytes) }
      return readYamlBody(request, textOf(bytes))
    },
  )
  app.addHook('preParsing', async (request) => {
    const encoding = headerOf(request, 'content-encoding')
    if (encoding !== undefined && encoding !== 'identity') {
      throw unsupported('Send the body without Content-Encoding.')
    }
  })
}

/** Clients that set Content-Type on every request send it without a body too. */
const emptyBody = (request: FastifyRequest): undefined => {
  if (routeOf(request)?.body) {
    const detail = 'the body is empty'
    throw new RekeyError('request.invalid', {
      detail: 'The body is empty.',
      errors: [{ pointer: '', detail }],
    })
  }
  return undefined
}

const unsupported = (detail: string): RekeyError => new RekeyError('request.mediaType', { detail })

const textOf = (bytes: Buffer): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    const detail = 'not UTF-8'
    throw new RekeyError('request.invalid', {
      detail: 'The body is not UTF-8.',
      errors: [{ pointer: '', detail }],
      cause,
    })
  }
}

const readYamlBody = (request: FastifyRequest, text: string): unknown => {
  const { documents, issues } = readYaml(text)
  const [document, second] = documents
  if (issues.length > 0 || document === undefined || second !== undefined) {
    const places = issues.map(({ pointer, detail, line, column }) => ({
      pointer,
      detail,
      ...(line === undefined ? {} : { line }),
      ...(column === undefined ? {} : { column }),
    }))
    const [first] = issues
    throw new RekeyError('request.invalid', {
      detail:
        first === undefined
          ? `The body must hold one YAML document; it holds ${documents.length}.`
          : `The body is not acceptable YAML: line ${first.line ?? 1}, column ${first.column ?? 1}: ${first.detail}.`,
      errors: places,
      ...(first?.hint === undefined ? {} : { hint: first.hint }),
    })
  }
  request.state.locate = document.locate
  return document.value
}

/** Depth is bounded by the reader. */
const refuseCharacters = (value: unknown, path: readonly (string | number)[]): void => {
  if (typeof value === 'string') refuseIn(value, path)
  else if (Array.isArray(value)) value.forEach((item, i) => refuseCharacters(item, [...path, i]))
  else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      refuseIn(name, [...path, name])
      refuseCharacters(member, [...path, name])
    }
  }
}

const refuseIn = (text: string, path: readonly (string | number)[]): void => {
  const found = forbiddenCharacter(text)
  if (found === null) return
  throw new RekeyError('request.invalid', {
    detail: `The character ${found.name} is not allowed.`,
    hint: 'It is invisible or changes how the text reads; delete it.',
    errors: [{ pointer: pointerOf(path), detail: `the character ${found.name} is not allowed` }],
  })
}

/** The decoded parts of a path and query: one line each. */
export const refuseInLine = (part: 'query' | 'params', values: unknown): void => {
  if (typeof values !== 'object' || values === null) return
  for (const [name, value] of Object.entries(values)) {
    for (const text of [name, ...[value].flat()].map(String)) {
      const control = /[\t\r\n]/.exec(text)
      refuseIn(control === null ? text : '\0', [part, name])
    }
  }
}
