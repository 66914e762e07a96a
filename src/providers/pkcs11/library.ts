// A library is loaded only if the environment of Rekey names it (`REKEY_PKCS11_MODULES`), and nobody but root and Rekey's own
// user could have written it: whoever may write a connection must not thereby run code on the host.

import { realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ProviderError } from '#domain/provider.ts'

const othersMayWrite = 0o022

/** The real path of it. `allowed`: what may be loaded, by absolute paths. */
export const mustBeSafe = async (path: string, allowed: readonly string[]): Promise<string> => {
  const real = await realpath(path).catch(() => null)
  const file = real === null ? null : await stat(real).catch(() => null)
  if (real === null || !file?.isFile()) {
    throw new ProviderError('precondition', 'none', 'the library is not there', {
      hint: 'settings.library is the path of the PKCS#11 module on the hosts that run Rekey',
    })
  }
  const known = await Promise.all(allowed.map((one) => realpath(one).catch(() => null)))
  if (!known.includes(real)) {
    throw new ProviderError('precondition', 'none', 'the library is not one that may be loaded', {
      hint: 'whoever runs Rekey names those in REKEY_PKCS11_MODULES, by their absolute paths, on every host',
    })
  }
  if (process.platform === 'win32') return real
  for (let at = real; ; at = dirname(at)) {
    // oxlint-disable-next-line no-await-in-loop -- a handful of folders
    const { uid, mode } = await stat(at)
    const sticky = at !== real && (mode & 0o1000) !== 0
    const owned = uid === 0 || uid === process.getuid?.()
    if (!owned || ((mode & othersMayWrite) !== 0 && !sticky)) {
      throw new ProviderError(
        'precondition',
        'none',
        'the library, or a folder above it, may be written by others than root and the user of Rekey',
        { hint: `chown root and chmod go-w ${at === real ? 'the file' : 'the folders above it'}` },
      )
    }
    if (at === dirname(at)) return real
  }
}
