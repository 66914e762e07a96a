// What the verbs over files share: the files are checked here first, by the server's own code, then sent as they are, and
// what the server refuses is shown in their lines.

import type { Command } from 'commander'
import type { Issue } from '#domain/issue.ts'
import type { JsonObject } from '#domain/json.ts'
import type { Allowance } from '#domain/plan.ts'
import type { Client } from './client.ts'
import { type Checked, checkSources, excerpts, readSources } from './documents.ts'
import { isFailure, usage } from './failure.ts'
import { flagOf } from './plan-text.ts'
import { objectAt, objectsAt, textAt } from './read-json.ts'
import type { Run } from './shell.ts'

export interface FileOptions {
  readonly file?: readonly string[]
  readonly owner?: string
  readonly prune?: true
  readonly allowMassRotation?: true
  readonly allowPolicyDeletion?: true
  readonly allowOwnerChange?: true
}

export const withFiles = (command: Command): Command =>
  command
    .option('-f, --file <path...>', 'files, directories, or - for standard input')
    .option(
      '--owner <name>',
      'whose files these are: only this owner changes or prunes what they hold',
    )
    .option('--prune', 'delete what the owner has beside these files')

export const withAllowances = (command: Command): Command =>
  command
    .option(
      '--allow-mass-rotation',
      'more than 10 keys, or more than 20 % of all, may become due at once',
    )
    .option('--allow-policy-deletion', 'a policy that applies to keys may be deleted')
    .option('--allow-owner-change', 'what belongs to another owner may be taken over')

export const allowedBy = (options: FileOptions): readonly Allowance[] => [
  ...(options.allowMassRotation ? (['massRotation'] as const) : []),
  ...(options.allowPolicyDeletion ? (['policyDeletion'] as const) : []),
  ...(options.allowOwnerChange ? (['ownerChange'] as const) : []),
]

export interface PlannedFiles {
  readonly plan: JsonObject
  /** By `kind name`: the file that a document stands in. */
  readonly fileOf: ReadonlyMap<string, string>
}

export const planFiles = async (
  run: Run,
  options: FileOptions,
  { allow, dryRun }: { readonly allow: readonly Allowance[]; readonly dryRun: boolean },
): Promise<PlannedFiles> => {
  if (options.prune && options.owner === undefined) {
    throw usage('--prune deletes what an owner has beside the files, so it needs --owner')
  }
  const checked = await checkSources(run.io, await readSources(run.io, options.file ?? []))
  for (const warning of checked.warnings) run.talk(`warning: ${warning}`)
  const client = await run.client()
  const body = {
    documents: checked.files.map(({ name, text }) => ({ file: name, text })),
    allow,
    prune: options.prune === true,
    ...(options.owner === undefined ? {} : { owner: options.owner }),
  }
  return {
    plan: await makePlan(client, body, dryRun, checked),
    fileOf: new Map(
      checked.documents.map(({ kind, name, file }) => [`${kind} ${name}`, file.name]),
    ),
  }
}

/** What the server refuses is told with the flag that would allow it, and shown in the files that it stands in. */
export const makePlan = async (
  client: Client,
  body: JsonObject,
  dryRun: boolean,
  { files, documents }: Pick<Checked, 'files' | 'documents'> = { files: [], documents: [] },
): Promise<JsonObject> => {
  try {
    return objectAt((await client.send({ method: 'POST', path: '/v1/plans', body, dryRun })).body)
  } catch (error) {
    if (!isFailure(error)) throw error
    const { errors = [], code, problem } = error.info
    const needed = objectsAt(problem as JsonObject | undefined, 'needs')
    const hint = needed.map((need) => flagOf(textAt(need, 'allowance'))).join(' and ')
    const placed = errors.filter(({ line }) => line !== undefined)
    throw error.with({
      ...(hint === '' ? {} : { hint: `if that is meant, add ${hint}` }),
      ...(placed.length === 0
        ? {}
        : {
            shown: await excerpts(
              files,
              placed.map((place) => underlined(documents, { ...place, code } as Issue)),
            ),
          }),
    })
  }
}

/** The server says where something begins; the file that was read here knows where it ends. */
const underlined = (documents: Checked['documents'], issue: Issue): Issue => {
  const same = documents
    .filter(({ file }) => file.name === issue.file)
    .map(({ place }) => place(issue))
    .find(({ line, column }) => line === issue.line && column === issue.column)
  return same?.endColumn === undefined ? issue : { ...issue, endColumn: same.endColumn }
}
