// A start that the self-check of the database refuses: the findings, in one piece.

interface Finding {
  readonly check: string
  readonly detail: string
  readonly hint: string
}

export class StartRefused extends Error {
  readonly findings: readonly Finding[]

  constructor(findings: readonly Finding[]) {
    const lines = findings.map(({ check, detail, hint }) => `  ${check}: ${detail}\n    ${hint}`)
    super(`Rekey does not start, because its database is not as it must be:\n${lines.join('\n')}`)
    this.name = 'StartRefused'
    this.findings = findings
  }
}
