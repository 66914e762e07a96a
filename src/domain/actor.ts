// Who does something: a person or program with a token, or one of Rekey's own timers.

export const roles = [
  'viewer',
  'operator',
  'approver',
  'responder',
  'auditor',
  'consumer',
  'admin',
] as const
export type Role = (typeof roles)[number]

/** Limits every role to the keys that carry these labels and the connections named. Outside of it a thing is 404. */
export interface Scope {
  readonly matchLabels?: Readonly<Record<string, string>>
  readonly connections?: readonly string[]
}

export interface Actor {
  readonly type: 'user' | 'service' | 'consumer' | 'breakGlass' | 'worker' | 'scheduler' | 'system'
  /** Stable id: of the API key, or `worker:<instance>` and the like. */
  readonly id: string
  readonly name: string
  readonly roles: readonly Role[]
  readonly scope: Scope | null
  /** The consumer that an `ack` token, or a token with the role `consumer`, is bound to. */
  readonly consumer: string | null
  /** Names of the keys that the role `consumer` may read; null: those whose consumers include `consumer`. */
  readonly keys: readonly string[] | null
  /** When the token ends; absent for Rekey's own timers. */
  readonly expiresAt?: Date | null
  readonly requestId?: string
}

/** Only admin implies other roles. */
export const hasRole = (actor: Pick<Actor, 'roles'>, ...anyOf: readonly Role[]): boolean =>
  actor.roles.includes('admin') || anyOf.some((role) => actor.roles.includes(role))

/** Whether something with these labels on this connection lies in the actor's scope. */
export const inScope = (
  actor: Pick<Actor, 'scope'>,
  thing: { readonly labels: Readonly<Record<string, string>>; readonly connection?: string },
): boolean => {
  const { scope } = actor
  if (!scope) return true
  if (scope.connections && !(thing.connection && scope.connections.includes(thing.connection))) {
    return false
  }
  return Object.entries(scope.matchLabels ?? {}).every(([k, v]) => thing.labels[k] === v)
}

/** Nobody: a timer of Rekey's own. */
export const isOwn = ({ type }: { readonly type: string }): boolean =>
  type === 'worker' || type === 'scheduler' || type === 'system'

/** A timer of Rekey's own. It has no role: use cases that timers run do not ask for one. */
export const systemActor = (type: 'worker' | 'scheduler' | 'system', name: string): Actor => ({
  type,
  id: `${type}:${name}`,
  name,
  roles: [],
  scope: null,
  consumer: null,
  keys: null,
})
