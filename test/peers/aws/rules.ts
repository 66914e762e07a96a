import type { Moto } from './moto.ts'
import type { Principal } from './principals.ts'
import type { Asked, Body, Reply } from './wire.ts'

export interface RuleAt {
  readonly moto: Moto
  readonly principal: Principal
  readonly asked: Asked
}

/** What a service adds to moto. */
export interface Rules {
  /** Operations that change something. */
  readonly writes: ReadonlySet<string>
  /** ARN that the right is asked on, or several of which each must be allowed; `*` where AWS knows none. */
  readonly resource: (at: RuleAt) => Promise<string | readonly string[]>
  /** Name under which effects are counted. */
  readonly subject: (body: Body) => string
  /** A refusal, an answer of its own, another request to send on, or null: moto answers. */
  readonly before: (at: RuleAt) => Promise<Reply | { readonly text: string } | null>
  /** moto's answer, put right. */
  readonly after: (at: RuleAt, reply: Reply) => Promise<Reply>
}
