import { usage } from './failure.ts'

/** What an option took as the number of a version or revision. Throws a usage error. */
export const numberOf = (text: string, of: 'version' | 'revision'): number => {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw usage(`--${of} takes the number of a ${of}`)
  return Number(text)
}
