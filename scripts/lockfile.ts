// The lock file, read for what `npm ci` will ask of it.
//
// A registry that lags behind (a mirror) can lack some platform builds of a package when the lock is made. npm then leaves
// them out without a word, and `npm ci` refuses on every machine: "Missing: @oxlint/binding-android-arm64@ from lock file".

export interface Lockfile {
  readonly lockfileVersion: number
  readonly packages: Record<string, LockEntry>
}

export interface LockEntry {
  readonly version?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

export interface MissingEntry {
  readonly name: string
  readonly version: string
  /** Path of the entry that names it, such as `node_modules/oxlint`. */
  readonly neededBy: string
}

/** Every name in an `optionalDependencies` that has no entry where Node would look for it. */
export const missingEntries = (lock: Lockfile): readonly MissingEntry[] =>
  Object.entries(lock.packages).flatMap(([path, entry]) =>
    Object.entries(entry.optionalDependencies ?? {})
      .filter(([name]) => !lookUp(path, name).some((at) => at in lock.packages))
      .map(([name, version]) => ({ name, version, neededBy: path })),
  )

/** Entries that name the host they came from: with them, a lock works only where that host is reached. */
export const resolvedHosts = (lock: Lockfile): readonly string[] =>
  Object.values(lock.packages).flatMap(({ resolved, link }) =>
    resolved !== undefined && link !== true ? [resolved] : [],
  )

/** The same lock with an entry for each missing name, in npm's order. */
export const completeLockfile = (lock: Lockfile): Lockfile => {
  const packages = { ...lock.packages }
  for (const { name, version, neededBy } of missingEntries(lock)) {
    const dev = lock.packages[neededBy]?.dev === true
    packages[`node_modules/${name}`] = {
      version: exact(name, version),
      ...(dev ? { dev } : {}),
      optional: true,
      ...platformOf(name),
    }
  }
  const ordered = Object.entries(packages).toSorted(([a], [b]) => a.localeCompare(b, 'en'))
  return { ...lock, packages: Object.fromEntries(ordered) }
}

const lookUp = (path: string, name: string): readonly string[] => {
  const above = path.lastIndexOf('node_modules/')
  const here = path === '' ? `node_modules/${name}` : `${path}/node_modules/${name}`
  if (path === '') return [here]
  return [here, ...lookUp(above <= 0 ? '' : path.slice(0, above - 1), name)]
}

/** Platform builds are named by their parents with one exact version; a range could not be completed without asking. */
const exact = (name: string, version: string): string => {
  if (/^\d+\.\d+\.\d+(?:[-+][\w.-]+)?$/.test(version)) return version
  throw new Error(`${name}: "${version}" is a range; run \`npm install\` against a full registry`)
}

const systems: Readonly<Record<string, string>> = {
  aix: 'aix',
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  netbsd: 'netbsd',
  openbsd: 'openbsd',
  openharmony: 'openharmony',
  sunos: 'sunos',
  win: 'win32',
  win32: 'win32',
  windows: 'win32',
}
const processors = new Set(
  'arm arm64 ia32 loong64 mips64el ppc64 riscv64 s390x wasm32 x64'.split(' '),
)
const libraries: Readonly<Record<string, string>> = { gnu: 'glibc', musl: 'musl' }

/** `@oxlint/binding-linux-x64-musl` says for whom it is; npm skips what is for others. */
const platformOf = (name: string): Pick<LockEntry, 'os' | 'cpu' | 'libc'> => {
  const words = name.split(/[/-]/)
  const pick = (table: Readonly<Record<string, string>>): readonly string[] =>
    words.flatMap((word) => table[word] ?? []).slice(-1)
  const os = pick(systems)
  const cpu = words.filter((word) => processors.has(word)).slice(-1)
  const libc = pick(libraries)
  if (os.length === 0 && cpu.length === 0) {
    throw new Error(`${name}: its name does not say which platform it is for`)
  }
  return {
    ...(os.length > 0 ? { os } : {}),
    ...(cpu.length > 0 ? { cpu } : {}),
    ...(libc.length > 0 ? { libc } : {}),
  }
}
