// The refusals of a plan's documents: all of them are told at once, each where it stands in what was sent.

import { type ErrorCode, type ErrorPlace, isRekeyError, RekeyError } from '#domain/errors.ts'
import type { DocumentKind } from '#domain/document-kinds.ts'
import { documentKinds } from '#domain/document-kinds.ts'

/** A document, or a resource that is deleted because no document speaks of it. */
export interface Subject {
  readonly kind: DocumentKind
  readonly name: string
  /** Where a field of it stands, by a pointer into the document; null: it stands nowhere. */
  readonly place: ((pointer: string) => Omit<ErrorPlace, 'detail'>) | null
}

export const referenceOf = ({ kind, name }: Pick<Subject, 'kind' | 'name'>): string =>
  `${documentKinds[kind].noun}/${name}`

export interface Faults {
  /** Runs the work on one document; a refusal is kept, and null is returned. Everything else is thrown on: what the
   *  database refuses ends the transaction. */
  attempt<T>(subject: Subject, work: () => Promise<T>): Promise<T | null>
  add(subject: Subject, error: RekeyError): void
  /** Throws what was kept, as one refusal. */
  settle(): void
}

export const makeFaults = (): Faults => {
  const faults: { readonly subject: Subject; readonly error: RekeyError }[] = []
  return {
    async attempt(subject, work) {
      try {
        return await work()
      } catch (error) {
        if (!isRekeyError(error) || error.status >= 500) throw error
        faults.push({ subject, error })
        return null
      }
    },
    add: (subject, error) => void faults.push({ subject, error }),
    settle() {
      const [first, ...rest] = faults
      if (!first) return
      const { error, subject } = first
      throw new RekeyError(codeOf(error), {
        detail:
          rest.length === 0
            ? `${referenceOf(subject)}: ${error.message}`
            : `${faults.length} documents are refused. The first, ${referenceOf(subject)}: ${error.message}`,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
        errors: faults.flatMap(placesOf),
        extra: error.extra,
      })
    },
  }
}

/** Nobody sent a precondition: the revision that was looked at has gone meanwhile. */
const codeOf = ({ code }: RekeyError): ErrorCode =>
  code === 'precondition.failed' || code === 'precondition.required' ? 'plan.stale' : code

const placesOf = ({
  subject,
  error,
}: {
  readonly subject: Subject
  readonly error: RekeyError
}): readonly ErrorPlace[] => {
  const { place } = subject
  if (!place) return []
  if (error.places.length === 0) return [{ ...place('/metadata/name'), detail: error.message }]
  return error.places.map(({ pointer, detail }) => ({
    ...place(inDocument(pointer)),
    detail: `${error.message} (${detail})`,
  }))
}

/** Use cases point into the body of their resource; in a document its fields lie under spec and metadata. */
const inDocument = (pointer: string): string => {
  if (/^$|^\/(?:spec|metadata|status|kind|apiVersion)(?:\/|$)/.test(pointer)) return pointer
  return /^\/(?:labels|annotations|name)(?:\/|$)/.test(pointer)
    ? `/metadata${pointer}`
    : `/spec${pointer}`
}

/** Two policies meet on a key: told at the one that this plan writes, or at the key. */
export const overlapIn = (documents: readonly Subject[], error: RekeyError): RekeyError => {
  const { policies, key } = error.extra
  const named = Array.isArray(policies) ? policies : []
  const subject =
    documents.find(({ kind, name }) => kind === 'RotationPolicy' && named.includes(name)) ??
    documents.find(({ kind, name }) => kind === 'Key' && name === key)
  if (!subject?.place) return error
  const pointer = subject.kind === 'Key' ? '/metadata/labels' : '/spec/selector'
  return new RekeyError(error.code, {
    detail: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    errors: [{ ...subject.place(pointer), detail: error.message }],
    extra: error.extra,
  })
}
