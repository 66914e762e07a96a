// What a workplace of Doppler holds: projects, their configs, secrets and service tokens. Secrets of a branch config are those of
// its root config unless it has its own; a config may inherit others; `${NAME}`, `${config.NAME}` and `${project.config.NAME}`
// are references, and stay as they are where nothing has the name.

import { randomBytes, randomUUID } from 'node:crypto'

export interface ConfigRow {
  readonly project: string
  readonly environment: string
  readonly name: string
  readonly root: boolean
  locked: boolean
  readonly createdAt: string
  readonly secrets: Map<string, SecretRow>
  readonly inherits: { readonly project: string; readonly config: string }[]
  readonly tokens: TokenRow[]
}
export interface SecretRow {
  raw: string
  visibility: 'masked' | 'unmasked' | 'restricted'
}
export interface TokenRow {
  readonly slug: string
  readonly key: string
  readonly name: string
  readonly access: string
  readonly createdAt: string
  readonly expiresAt: string | null
}

export type Workplace = ReturnType<typeof makeWorkplace>

export const makeWorkplace = () => {
  const configs: ConfigRow[] = []
  const projects: { id: string; slug: string; name: string; createdAt: string }[] = []

  const find = (project: string, config: string): ConfigRow | null =>
    configs.find((one) => one.project === project && one.name === config) ?? null

  const project = (slug: string, name = slug, id = slug): void => {
    if (!projects.some((one) => one.slug === slug))
      projects.push({ id, slug, name, createdAt: new Date().toISOString() })
  }

  /** A config without a branch is the root of an environment of its name. */
  const config = (inProject: string, name: string, branchOf: string | null = null): ConfigRow => {
    project(inProject)
    const row: ConfigRow = {
      project: inProject,
      environment: branchOf ?? name,
      name,
      root: branchOf === null,
      locked: false,
      createdAt: new Date().toISOString(),
      secrets: new Map(),
      inherits: [],
      tokens: [],
    }
    configs.push(row)
    return row
  }

  /** The row that a config shows for a name, its own or not. */
  const shown = (at: ConfigRow, name: string): SecretRow | null => {
    const own = at.secrets.get(name)
    if (own !== undefined) return own
    const root = at.root ? null : find(at.project, at.environment)
    const above = [
      ...(root === null ? [] : [root]),
      ...at.inherits.flatMap((one) => find(one.project, one.config) ?? []),
    ]
    for (const one of above) {
      const row = shown(one, name)
      if (row !== null) return row
    }
    return null
  }

  const names = (at: ConfigRow): readonly string[] => {
    const root = at.root ? null : find(at.project, at.environment)
    const above = [
      ...(root === null ? [] : [root]),
      ...at.inherits.flatMap((one) => find(one.project, one.config) ?? []),
    ]
    return [...new Set([...at.secrets.keys(), ...above.flatMap(names)])]
  }

  const computed = (at: ConfigRow, raw: string, depth = 0): string =>
    depth > 5
      ? raw
      : raw.replaceAll(/\$\{([A-Za-z0-9_.-]+)\}/g, (whole, path: string) => {
          const parts = path.split('.')
          const name = parts.at(-1) ?? ''
          const of =
            parts.length === 1
              ? at
              : find(parts.length === 2 ? at.project : (parts[0] ?? ''), parts.at(-2) ?? '')
          const row = of === null ? null : shown(of, name)
          return row === null || of === null ? whole : computed(of, row.raw, depth + 1)
        })

  const inheritedBy = (of: ConfigRow) =>
    configs
      .filter(({ inherits }) =>
        inherits.some((one) => one.project === of.project && one.config === of.name),
      )
      .map((one) => ({ project: one.project, config: one.name }))

  const token = (
    at: ConfigRow,
    name: string,
    access: string,
    expiresAt: string | null,
  ): TokenRow => {
    const row = {
      slug: randomUUID(),
      key: `dp.st.${at.name}.${randomBytes(30).toString('base64url')}`,
      name,
      access,
      createdAt: new Date().toISOString(),
      expiresAt,
    }
    at.tokens.push(row)
    return row
  }

  return { configs, projects, find, project, config, shown, names, computed, inheritedBy, token }
}
