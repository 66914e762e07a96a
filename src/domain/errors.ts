// The one catalogue of errors that callers see: code → title, HTTP status, whether the same request may succeed later.
// `http/problem.ts` maps it to RFC 9457 problem details; error-help.ts has the page of each, drawn at `/problems/{code}` and
// in `docs/reference/errors.md`.

type Row = { readonly title: string; readonly status: number; readonly retry: boolean }

const no = (status: number, title: string): Row => ({ title, status, retry: false })
const later = (status: number, title: string): Row => ({ title, status, retry: true })

export const errors = {
  'request.invalid': no(400, 'The request is malformed'),
  'request.tooLarge': no(413, 'The request is too large'),
  'request.headersTooLarge': no(431, 'The headers or the path are too large'),
  'request.timeout': later(408, 'The request took too long to arrive'),
  'request.mediaType': no(415, 'The media type is not supported'),
  'request.notAcceptable': no(406, 'None of the accepted media types can be sent'),
  'request.method': no(405, 'The method is not allowed here'),
  'request.impossible': no(422, 'The request is well-formed and cannot be done'),
  'request.rateLimited': later(429, 'Too many requests'),
  'cursor.foreign': no(400, 'The cursor belongs to another list or filter'),
  'auth.missing': no(401, 'A token is required'),
  'auth.invalid': no(401, 'The token is not valid'),
  'auth.issuerUnavailable': later(503, 'The issuer of the token cannot be asked'),
  'auth.denied': no(403, 'The token has not the right'),
  'login.refused': no(400, 'The login does not hold'),
  'resource.notFound': no(404, 'There is no such resource'),
  'resource.exists': no(409, 'The name is taken'),
  'policy.overlap': no(409, 'Two policies select one key'),
  'policy.neverFires': no(422, 'The schedule never fires'),
  'policy.gapNotAccepted': no(422, 'The key type has a gap that the policy does not accept'),
  'policy.weakening': no(409, 'The change weakens a policy and needs an approval'),
  'policy.belowFloor': no(422, 'The policy is less strict than a floor'),
  'policy.impossible': no(422, 'The policy asks for what a key type cannot do'),
  'plan.ownerConflict': no(409, 'A document belongs to another owner'),
  'plan.massRotation': no(422, 'The plan makes too many keys due at once'),
  'plan.policyDeletion': no(422, 'The plan deletes a policy that applies to keys'),
  'plan.stale': no(409, 'The plan does not fit the present state'),
  'key.objectTaken': no(409, 'The object is already managed by another key'),
  'key.ambiguousPrimary': no(409, 'Several versions could be the primary'),
  'key.busy': no(409, 'The key has an open rotation or incident'),
  'key.noObject': no(422, 'The object does not exist at the provider'),
  'key.notDeliverable': no(409, 'The value of this key type is not delivered'),
  'key.observed': no(409, 'The provider rotates this key by itself'),
  'key.versionInUse': no(409, 'The version is the one in use'),
  'key.versionUnusable': no(409, 'The version is not active'),
  'connection.inUse': no(409, 'The connection is in use'),
  'connection.notGranted': no(403, 'The connection grants no such object'),
  'connection.unusable': no(422, 'The connection cannot be used'),
  'rotation.inProgress': no(409, 'The key has an open rotation'),
  'rotation.wrongPhase': no(409, 'The rotation is in another phase'),
  'rotation.undoImpossible': no(409, 'The provider cannot undo this'),
  'rotation.pastPointOfNoReturn': no(409, 'The old version is already being retired'),
  'rotation.selfApproval': no(403, 'Nobody approves what they requested'),
  'rotation.planChanged': no(409, 'The plan hash does not match'),
  'incident.empty': no(422, 'The incident means no version of a key'),
  'incident.tooLarge': no(422, 'The incident means too many keys'),
  'incident.previewStale': no(409, 'The preview does not fit the present state'),
  'incident.previewExpired': no(409, 'The preview is too old'),
  'incident.confirmationWrong': no(422, 'The confirmation names another incident'),
  'incident.selfApproval': no(403, 'Nobody approves what they opened or previewed'),
  'incident.approvalMissing': no(409, 'An approval is missing'),
  'incident.wrongState': no(409, 'The incident is in another state'),
  'incident.wrongMode': no(409, 'The mode of the incident does not allow it'),
  'incident.reviewMissing': no(409, 'Somebody else must review it first'),
  'playbook.selfApproval': no(403, 'Nobody reviews what they wrote'),
  'freeze.active': no(409, 'A freeze is active'),
  'recovery.active': no(409, 'Rekey is in recovery mode'),
  'recovery.notActive': no(409, 'Rekey is not in recovery mode'),
  'recovery.pending': no(409, 'Not every key is reconciled yet'),
  'idempotency.missing': no(428, 'An Idempotency-Key is required'),
  'idempotency.mismatch': no(422, 'The Idempotency-Key was used for another request'),
  'idempotency.running': later(409, 'The first request with this Idempotency-Key is still running'),
  'idempotency.secretNotReplayable': no(409, 'The first reply held a secret and was not stored'),
  'idempotency.replyLost': no(409, 'The first request had its effect and its reply was lost'),
  'precondition.required': no(428, 'If-Match is required'),
  'precondition.failed': no(412, 'The resource has changed'),
  'provider.unauthorized': no(502, 'The provider refused the credential'),
  'provider.rejected': no(422, 'The provider refused the request'),
  'provider.unavailable': later(503, 'The provider cannot be reached'),
  'audit.unavailable': later(503, 'The audit log cannot be written'),
  'service.unavailable': later(503, 'Rekey is not ready'),
  internal: no(500, 'Rekey failed'),
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof errors

/** Where in the input the fault is. `pointer` is RFC 6901; line and column count from 1 and are there for files. */
export interface ErrorPlace {
  readonly pointer: string
  readonly detail: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
}

export interface ErrorInfo {
  /** One sentence for a person, without secrets. */
  readonly detail?: string
  /** What to do next. */
  readonly hint?: string
  readonly errors?: readonly ErrorPlace[]
  /** Members that a problem document carries beside the standard ones, such as `candidates`. */
  readonly extra?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** The only error that a use case throws on purpose. */
export class RekeyError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly places: readonly ErrorPlace[]
  readonly extra: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, info: ErrorInfo = {}) {
    super(info.detail ?? errors[code].title, info.cause === undefined ? {} : { cause: info.cause })
    this.name = 'RekeyError'
    this.code = code
    this.hint = info.hint
    this.places = info.errors ?? []
    this.extra = info.extra ?? {}
  }

  get status(): number {
    return errors[this.code].status
  }
}

export const isRekeyError = (e: unknown, code?: ErrorCode): e is RekeyError =>
  e instanceof RekeyError && (code === undefined || e.code === code)
