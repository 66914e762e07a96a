// Applications of the stand-in's tenant, their tokens and their roles.

import { randomBytes, randomUUID } from 'node:crypto'
import type { Json } from '#domain/json.ts'

export interface Application {
  readonly clientId: string
  readonly clientSecret: string
  /** PEM of the certificates that it may log in with. */
  readonly certificates: string[]
  /** Tokens of its workload that are accepted for it. */
  readonly federated: string[]
  /** Null: everything. */
  readonly roles: readonly Role[] | null
}

export interface Role {
  readonly dataActions: readonly string[]
  readonly scope: string
}

interface Token {
  readonly application: Application
  readonly audience: string
  readonly endsAt: number
}

export const makePrincipals = () => {
  const applications: Application[] = []
  const tokens = new Map<string, Token>()
  return {
    /** With the id of another one it is the same application, by a secret that has roles of its own: settings name the id. */
    add: (roles: readonly Role[] | null, clientId: string = randomUUID()): Application => {
      const application: Application = {
        clientId,
        clientSecret: randomBytes(24).toString('base64url'),
        certificates: [],
        federated: [],
        roles,
      }
      applications.push(application)
      return application
    },
    of: (clientId: string): readonly Application[] =>
      applications.filter((application) => application.clientId === clientId),
    issue: (application: Application, audience: string, lifeMs: number): string => {
      const token = `stand-in.${randomBytes(32).toString('base64url')}`
      tokens.set(token, { application, audience, endsAt: Date.now() + lifeMs })
      return token
    },
    tokenOf: (token: string): Token | undefined => {
      const found = tokens.get(token)
      return found !== undefined && found.endsAt > Date.now() ? found : undefined
    },
    /** As Entra does when a session is revoked. */
    revokeTokens: () => tokens.clear(),
  }
}

export type Principals = ReturnType<typeof makePrincipals>

/** Whether a role's data actions hold at the scope or above it. */
export const allows = ({ roles }: Application, action: string, scope: string): boolean =>
  roles === null ||
  roles.some(
    (role) =>
      role.dataActions.includes(action) &&
      (role.scope === '/' || role.scope.toLowerCase() === scope.toLowerCase()),
  )

/** From documents of `leastPrivilege`. */
export const rolesIn = (documents: readonly Json[]): readonly Role[] =>
  documents.flat() as unknown as readonly Role[]
