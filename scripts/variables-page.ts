// docs/reference/variables.md, drawn from the table of variables.

import { isSecretVariable, variableNames, variables, type VariableRow } from '../src/variables.ts'
import { generated, table } from './markdown.ts'

const rowsOf = (of: readonly VariableRow['of'][]): string =>
  table(
    ['variable', 'where it is not set', 'what it is'],
    variableNames
      .filter((name) => of.includes(variables[name].of))
      .map((name) => [
        `\`${name}\`${isSecretVariable(name) ? ', `_FILE`' : ''}`,
        variables[name].otherwise || '–',
        variables[name].about,
      ]),
  )

export const variablesPage = (): string =>
  [
    '# Variables',
    generated,
    'Empty is not set. A `REKEY_…` that is not here stops a start, with what was probably meant; so does a value that cannot be. Of what is secret, marked `_FILE`, a twin with that ending names a file instead.',
    `## Of the server\n\`up\`, \`api\`, \`worker\`, \`migrate\` and the other commands that need the database. \`<data>\` is \`REKEY_DATA_DIR\`.\n\n${rowsOf(['server', 'both'])}`,
    `## Of the command\n${rowsOf(['command', 'both'])}\n\n\`NO_COLOR\` takes the colours away, \`NODE_EXTRA_CA_CERTS\` names an authority of one's own.`,
    '## Credentials of connections\n`REKEY_CREDENTIAL_<X>` is a credential that a connection may name by `from: env`, and `REKEY_CREDENTIAL_<X>_HOSTS` the hosts that it may be sent to, with commas. No other variable can be named.',
    '## Traces\nThe variables of OpenTelemetry, of which `OTEL_EXPORTER_OTLP_ENDPOINT` switches them on: [observability](../observability/README.md).',
  ].join('\n\n') + '\n'
