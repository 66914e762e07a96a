/** What can be written as JSON. Pre-images, plans and audit bodies are of this type, so that nothing else slips in. */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [key: string]: Json
}
