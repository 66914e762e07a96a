// What Rekey needs, by what it is for. Doppler gives rights to a service account by a role in a project; these are permissions
// of such a role. It tells nobody which of them a token has: only use shows.

import type { Json } from '#domain/json.ts'

export const rightOf = {
  describe: 'enclave_project_config_secrets_read',
  rotate: 'enclave_project_config_secrets_write',
  tokens: 'enclave_project_config_service_tokens',
} as const

/** As `POST /v3/projects/roles` takes them. */
const role = (permission: string): Json => ({ permissions: [permission] })

export const secretRights: Readonly<Record<string, Json>> = {
  describe: role(rightOf.describe),
  rotate: role(rightOf.rotate),
}

export const tokenRights: Readonly<Record<string, Json>> = {
  tokens: role(rightOf.tokens),
}
