// Exit codes are a contract with scripts: they mean the same in every output format.

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  rights: 4,
  conflict: 5,
  partly: 6,
  stillWaiting: 7,
  integrity: 8,
  unreachable: 9,
  differences: 10,
  interrupted: 130,
} as const

export type ExitName = keyof typeof exitCodes

/** What each one means, for `--help` and the manual. */
export const exitMeanings: Readonly<Record<ExitName, string>> = {
  ok: 'done',
  failed: 'the operation failed',
  usage: 'wrong usage, or a document that is not valid',
  notFound: 'there is no such thing, or not in your scope',
  rights: 'no token, a wrong one, or one without the right',
  conflict: 'the state does not allow it, or changed meanwhile',
  partly: 'partly done',
  stillWaiting: 'still waiting when --timeout was over',
  integrity: 'the audit log, the database or a backup is not what it should be',
  unreachable: 'the server cannot be reached or is not Rekey',
  differences: 'there are differences (diff --exit-code, migrate --check)',
  interrupted: 'interrupted',
}

/** The exit of a refusal by its HTTP status. */
export const exitOfStatus = (status: number): ExitName => {
  switch (status) {
    case 400:
    case 405:
    case 406:
    case 413:
    case 415:
    case 422:
    case 428:
      return 'usage'
    case 401:
    case 403:
      return 'rights'
    case 404:
      return 'notFound'
    case 409:
    case 412:
      return 'conflict'
    default:
      return 'failed'
  }
}
