// A library is loaded only if the environment of Rekey names it (`REKEY_PKCS11_MODULES`), and nobody but root and Rekey's own
// user could have written it: whoever may write a connection must not thereby run code on the host.

import { realpath, stat } from 'node:fs/promises'
import { ProviderError } from '#domain/provider.ts'
import { judgePath } from '../safe-path.ts'

/** The real path of it. `allowed`: what may be loaded, by absolute paths. */
export const mustBeSafe = async (path: string, allowed: readonly string[]): Promise<string> => {
  const judged = await judgePath(path)
  if ('fault' in judged) throw judged.fault === 'missing' ? notThere() : writable(judged.at)
  const { real } = judged
  if (!(await stat(real)).isFile()) throw notThere()
  const known = await Promise.all(allowed.map((one) => realpath(one).catch(() => null)))
  if (known.includes(real)) return real
  throw new ProviderError('precondition', 'none', 'the library is not one that may be loaded', {
    hint: 'whoever runs Rekey names those in REKEY_PKCS11_MODULES, by their absolute paths, on every host',
  })
}

const notThere = (): ProviderError =>
  new ProviderError('precondition', 'none', 'the library is not there', {
    hint: 'settings.library is the path of the PKCS#11 module on the hosts that run Rekey',
  })

const writable = (at: string): ProviderError =>
  new ProviderError(
    'precondition',
    'none',
    'the library, or a folder above it, may be written by others than root and the user of Rekey',
    { hint: `chown root and chmod go-w ${at}` },
  )
