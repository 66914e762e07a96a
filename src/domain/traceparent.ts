// The header and the variable in which one process hands its trace to another (W3C Trace Context).

/** `00-<trace id>-<span id>-<flags>`, of this version of W3C Trace Context or a later one; null for what is none. */
export const parseTraceparent = (
  text: string,
): { readonly traceId: string; readonly spanId: string; readonly flags: number } | null => {
  const [, version, traceId = '', spanId = '', flags = '', more] =
    /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text) ?? []
  const known =
    version !== undefined && version !== 'ff' && (version !== '00' || more === undefined)
  if (!known || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, flags: Number.parseInt(flags, 16) }
}
