import type { Asked, Reply } from './wire.ts'

export interface Route {
  readonly method: string
  readonly path: RegExp
  /** The data action of Azure's roles that it needs, without its prefix. */
  readonly action: string
  readonly changes?: true
  readonly run: (asked: Asked) => Reply
}
