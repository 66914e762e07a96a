import { ProviderError, type Material } from '#domain/provider.ts'
import { revealText } from '#domain/secret.ts'

/** For systems that keep text: material that is none cannot be written as it is. */
export const materialText = (material: Material | null): string => {
  if (material === null)
    throw new ProviderError('permanent', 'none', 'there is no material to write')
  try {
    return revealText(material)
  } catch {
    throw new ProviderError('precondition', 'none', 'the material is not UTF-8 text')
  }
}
