// What is asked of the database while something is done: every statement of every session of this process, as it is sent.

import pg from 'pg'

export interface Heard {
  /** Without the space that is there for people. */
  readonly statements: readonly string[]
  readonly commits: number
}

export const hearing = async (work: () => Promise<unknown>): Promise<Heard> => {
  const { query } = pg.Client.prototype
  const statements: string[] = []
  pg.Client.prototype.query = new Proxy(query, {
    apply: (real, client, args: readonly unknown[]) => {
      const [asked] = args
      const text = typeof asked === 'string' ? asked : Reflect.get(Object(asked), 'text')
      if (typeof text === 'string') statements.push(text.replaceAll(/\s+/g, ' ').trim())
      return Reflect.apply(real, client, args)
    },
  })
  try {
    await work()
  } finally {
    pg.Client.prototype.query = query
  }
  return { statements, commits: statements.filter((text) => /^COMMIT\b/.test(text)).length }
}
