/** A value that must never be printed: logging, serialising or inspecting one shows «redacted».
 *  It is made at the border where material enters and opened with `reveal()` only where it leaves. */
export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The material itself. Every call site is a place to look at in a review. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '«redacted»'
  }

  toJSON(): string {
    return '«redacted»'
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '«redacted»'
  }
}

/** The same material as bytes (UTF-8 for text). */
export const revealBytes = (secret: Secret<string | Uint8Array>): Uint8Array => {
  const value = secret.reveal()
  return typeof value === 'string' ? new TextEncoder().encode(value) : value
}

/** The same material as text. Throws on bytes that are not UTF-8. */
export const revealText = (secret: Secret<string | Uint8Array>): string => {
  const value = secret.reveal()
  return typeof value === 'string' ? value : new TextDecoder('utf-8', { fatal: true }).decode(value)
}
