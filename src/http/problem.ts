// The one mapper of errors to RFC 9457 problem details. What is not in the catalogue is `internal`: the caller gets the
// request's id and nothing of the error, the log gets the rest.

import { Type, type Static } from 'typebox'
import {
  errors,
  isRekeyError,
  RekeyError,
  type ErrorCode,
  type ErrorPlace,
} from '#domain/errors.ts'
import { errorHelp } from '#domain/error-help.ts'
import { ProviderError } from '#domain/provider.ts'
import { placesOf, type ShapeFault } from './validation.ts'

export const problemMediaType = 'application/problem+json'

/** Beside these, a problem may carry what its code documents, such as `candidates`. */
export const problemSchema = Type.Object(
  {
    type: Type.String({ description: 'a page that explains the code' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String(),
    instance: Type.Optional(
      Type.String({ description: 'the path of the request, where it could be read' }),
    ),
    code: Type.Enum(Object.keys(errors)),
    requestId: Type.String(),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({
            description:
              'RFC 6901, into the body; below /query, /params or /headers for those parts of the request',
          }),
          detail: Type.String(),
          file: Type.Optional(Type.String()),
          line: Type.Optional(Type.Integer()),
          column: Type.Optional(Type.Integer()),
        }),
      ),
    ),
    hint: Type.Optional(Type.String({ description: 'what to do next' })),
  },
  { $id: 'Problem' },
)

export type Problem = Omit<Static<typeof problemSchema>, 'code'> & { readonly code: ErrorCode }

export const problemOf = (
  error: RekeyError,
  at: { readonly instance?: string; readonly requestId: string },
): Problem => ({
  // First, so that no member of a code's own can pose as one of the standard ones.
  ...error.extra,
  type: `/problems/${error.code}`,
  title: errors[error.code].title,
  status: errors[error.code].status,
  detail: error.message,
  ...(at.instance === undefined ? {} : { instance: at.instance }),
  code: error.code,
  requestId: at.requestId,
  ...(error.places.length === 0 ? {} : { errors: error.places.map((place) => ({ ...place })) }),
  ...(error.hint === undefined ? {} : { hint: error.hint }),
})

/** A problem as it might be: for the document and for the pages of codes. */
export const exampleProblem = (code: ErrorCode): Problem => {
  const { example } = errorHelp[code]
  return problemOf(new RekeyError(code, example), {
    instance: '/v1/keys/orders-token',
    requestId: '01a214c2-32c0-7051-b212-1106795cc6da',
  })
}

/** Any error as one of the catalogue. */
export const toRekeyError = (error: unknown): RekeyError => {
  if (isRekeyError(error)) return error
  if (error instanceof ProviderError) return ofProvider(error)
  const { code, statusCode, validation, validationContext } = frameworkFields(error)
  if (validation !== null) return ofValidation(validation, validationContext)
  const known = code === null ? undefined : (frameworkCodes[code] ?? byStatus(code, statusCode))
  return known === undefined
    ? new RekeyError('internal', {
        detail: 'Rekey failed. The log has more under this request id.',
        cause: error,
      })
    : new RekeyError(known.code, { detail: known.detail, cause: error })
}

interface Known {
  readonly code: ErrorCode
  readonly detail: string
}

/** Fastify's own refusals. Their texts repeat what was sent (a media type, a length), so ours are told. */
const frameworkCodes: Readonly<Record<string, Known>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'request.tooLarge',
    detail: 'The body is larger than this route takes.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'request.mediaType',
    detail: 'This route does not take that media type.',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'request.invalid',
    detail: 'The body is not as long as Content-Length says.',
  },
  FST_ERR_NOT_FOUND: { code: 'resource.notFound', detail: 'There is nothing at this path.' },
  FST_ERR_BAD_URL: { code: 'request.invalid', detail: 'The path is not a valid URL.' },
  FST_ERR_INVALID_URL: { code: 'request.invalid', detail: 'The path is not a valid URL.' },
  FST_ERR_MAX_PARAM_LENGTH: {
    code: 'resource.notFound',
    detail: 'A part of the path is longer than any name.',
  },
  FST_ERR_HANDLER_TIMEOUT: { code: 'service.unavailable', detail: 'The request took too long.' },
  FST_UNDER_PRESSURE: { code: 'service.unavailable', detail: 'Rekey is overloaded.' },
}

/** A refusal that a later version of the framework may bring. */
const byStatus = (code: string, status: number | null): Known | undefined => {
  if (!code.startsWith('FST_') || status === null || status < 400 || status >= 500) return undefined
  return { code: 'request.invalid', detail: 'The request is malformed.' }
}

const ofValidation = (faults: readonly ShapeFault[], context: string | null): RekeyError => {
  const part =
    { querystring: 'query', params: 'params', headers: 'headers' }[context ?? ''] ?? 'body'
  const places = placesOf(faults, part)
  return new RekeyError('request.invalid', {
    detail:
      places.length === 1
        ? sentence(places[0], part)
        : `${places.length} things are wrong in the ${part}.`,
    errors: places,
  })
}

const sentence = (place: ErrorPlace | undefined, part: string): string =>
  `${place?.pointer ? place.pointer : `The ${part}`}: ${place?.detail ?? 'is not valid'}.`

/** Use cases translate what they understand; this is for what reached the door. Our own sentences, never a provider's. */
const ofProvider = (error: ProviderError): RekeyError => {
  const refused = error.kind === 'auth' || error.kind === 'forbidden'
  const code = refused
    ? 'provider.unauthorized'
    : error.retryable
      ? 'provider.unavailable'
      : 'provider.rejected'
  return new RekeyError(code, {
    detail: error.message,
    ...(error.hint === null ? {} : { hint: error.hint }),
    cause: error,
  })
}

const frameworkFields = (error: unknown) => {
  const fields: {
    readonly code?: unknown
    readonly statusCode?: unknown
    readonly validation?: unknown
    readonly validationContext?: unknown
  } = typeof error === 'object' && error !== null ? error : {}
  return {
    code: typeof fields.code === 'string' ? fields.code : null,
    statusCode: typeof fields.statusCode === 'number' ? fields.statusCode : null,
    // Fastify's own field: Ajv's list of errors.
    validation: Array.isArray(fields.validation)
      ? (fields.validation as readonly ShapeFault[])
      : null,
    validationContext:
      typeof fields.validationContext === 'string' ? fields.validationContext : null,
  }
}
