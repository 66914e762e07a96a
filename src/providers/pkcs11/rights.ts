// A token knows one right: to be logged in as its user. What a rotation calls is listed for those who keep a policy beside the
// token (an HSM's own partitions and roles).

import type { Json, JsonObject } from '#domain/json.ts'

export const leastPrivilege = (ref: JsonObject): Readonly<Record<string, Json>> => {
  const login = { as: 'CKU_USER', token: 'one of its own, or a partition' }
  const object = { label: ref['label'] ?? '' }
  return {
    describe: {
      login,
      object,
      calls: ['C_FindObjects', 'C_GetAttributeValue', 'C_GetTokenInfo', 'C_GetMechanismList'],
    },
    verify: { login, object, calls: ['C_Sign', 'C_Encrypt', 'C_Decrypt'] },
    rotate: { login, object, calls: ['C_GenerateKey', 'C_GenerateKeyPair', 'C_SetAttributeValue'] },
    suspend: { login, object, calls: ['C_SetAttributeValue'] },
    destroy: { login, object, calls: ['C_DestroyObject'] },
  }
}
