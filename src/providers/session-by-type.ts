import type { Session } from '#domain/provider.ts'

/** What a session does with objects; each key type of a provider has one. */
export type ObjectSession = Omit<Session, 'check' | 'missingRights' | 'inventory' | 'close'>

/** Hands each call to the type of its object. `of` throws ProviderError for a type that the provider does not have. */
export const sessionByType = (of: (type: string) => ObjectSession): ObjectSession => ({
  describe: async (object, call) => of(object.type).describe(object, call),
  create: async (order, call) => of(order.object.type).create(order, call),
  prepare: async (object, current, call) => of(object.type).prepare(object, current, call),
  mint: async (order, call) => of(order.object.type).mint(order, call),
  probeMint: async (order, call) => of(order.object.type).probeMint(order, call),
  verify: async (order, call) => of(order.object.type).verify(order, call),
  promote: async (order, call) => of(order.object.type).promote(order, call),
  probePromote: async (order, call) => of(order.object.type).probePromote(order, call),
  suspend: async (object, version, call) => of(object.type).suspend(object, version, call),
  reinstate: async (object, version, call) => of(object.type).reinstate(object, version, call),
  retire: async (object, version, how, call) => of(object.type).retire(object, version, how, call),
  stateOf: async (object, version, call) => of(object.type).stateOf(object, version, call),
  lastUsed: async (object, version, call) => of(object.type).lastUsed(object, version, call),
  readMaterial: async (object, version, call) =>
    of(object.type).readMaterial(object, version, call),
  operate: async (object, version, operation, input, call) =>
    of(object.type).operate(object, version, operation, input, call),
})
