// `rekey apply -f policies/`: all files are checked before anything is sent; then each document by itself, in the order of
// the files. One that is refused does not keep the others back; the exit code says that it was done in part.

import type { Command } from 'commander'
import type { JsonObject } from '#domain/json.ts'
import type { Client } from '../client.ts'
import type { LocatedDocument } from '../documents.ts'
import { Failure, isFailure, usage } from '../failure.ts'
import { plain } from '../human.ts'
import { show, withOutput } from '../output.ts'
import type { Put } from '../put-policy.ts'
import { textsAt } from '../read-json.ts'
import { failureText } from '../render-failure.ts'
import type { Run, Shell } from '../shell.ts'
import { lines } from '../table.ts'

interface Options {
  readonly file: readonly string[]
  readonly dryRun?: true
}

interface Applied {
  readonly document: LocatedDocument
  readonly outcome: Put | Failure
}

export const addApply = (program: Command, shell: Shell): void => {
  const command = withOutput(program.command('apply'))
    .summary('create or replace policies from files')
    .description(
      'Create or replace policies from files. Everything is checked before anything is sent; nothing is deleted.\n' +
        'Exit code 6: some documents were applied, others refused.',
    )
    .requiredOption('-f, --file <path...>', 'files, directories, or - for standard input')
    .option('--dry-run', 'check everything and change nothing')
  command.action((options: Options) =>
    shell.act(command, { doing: `apply ${options.file.join(' ')}` }, (run) => apply(run, options)),
  )
}

const apply = async (run: Run, options: Options): Promise<void> => {
  const { checkSources, readSources } = await import('../documents.ts')
  const dryRun = options.dryRun === true
  const { documents, warnings } = await checkSources(
    run.io,
    await readSources(run.io, options.file),
  )
  for (const warning of warnings) run.talk(`warning: ${warning}`)
  const other = documents.find(({ kind }) => kind !== 'RotationPolicy')
  if (other)
    throw usage(`${other.file.name}: ${other.kind} ${other.name}: only policies are applied`)
  const client = await run.client()
  const applied: Applied[] = []
  for (const document of documents) {
    const outcome = await attempt(client, document, dryRun)
    applied.push({ document, outcome })
    if (!(outcome instanceof Failure)) {
      // What is found out against the keys that there are, beside what the file says by itself.
      for (const warning of textsAt(outcome.policy, 'status', 'warnings')) {
        if (!document.warnings.includes(warning))
          run.talk(`warning: ${document.file.name}: ${document.name}: ${plain(warning)}`)
      }
    }
    // What ends one by the network, the token or Ctrl-C ends them all.
    if (
      outcome instanceof Failure &&
      ['unreachable', 'rights', 'interrupted'].includes(outcome.info.exit)
    )
      break
  }
  await present(run, applied, dryRun)
  const failed = applied.flatMap(({ outcome }) => (outcome instanceof Failure ? [outcome] : []))
  if (failed.length > 0) throw await summary(applied, failed, documents.length, dryRun)
}

const attempt = async (
  client: Client,
  document: LocatedDocument,
  dryRun: boolean,
): Promise<Put | Failure> => {
  const { putPolicy } = await import('../put-policy.ts')
  try {
    return await putPolicy(
      client,
      { name: document.name, document: document.value as JsonObject },
      dryRun,
    )
  } catch (error) {
    if (!isFailure(error)) throw error
    return error.with({
      doing: `apply policy/${document.name}`,
      ...(await placed(error, document)),
    })
  }
}

/** The places of a refusal in the file that was sent, with carets. */
const placed = async (
  failure: Failure,
  document: LocatedDocument,
): Promise<{ readonly shown?: string }> => {
  const places = failure.info.errors ?? []
  if (places.length === 0) return {}
  const { excerpts } = await import('../documents.ts')
  const issues = places.map(({ pointer, detail }) =>
    document.place({ code: failure.info.code as 'request.invalid', detail, pointer }),
  )
  return { shown: await excerpts([document.file], issues) }
}

const present = (run: Run, applied: readonly Applied[], dryRun: boolean): Promise<void> => {
  const rows = applied.map(({ document, outcome }) => ({
    kind: document.kind,
    name: document.name,
    file: document.file.name,
    result: outcome instanceof Failure ? 'failed' : outcome.result,
  }))
  return show(run, {
    json: { dryRun, items: rows },
    names: rows.flatMap(({ name, result }) => (result === 'failed' ? [] : [`policy/${name}`])),
    text: () =>
      lines(
        rows.map(({ name, result, file }) => [
          `policy/${name}`,
          dryRun ? `would be ${result}` : result,
          file,
        ]),
      ),
  })
}

/** One document refused and nothing applied: its own failure. Otherwise what was done and what was not. */
const summary = async (
  applied: readonly Applied[],
  failed: readonly Failure[],
  total: number,
  dryRun: boolean,
): Promise<Failure> => {
  const done = applied.flatMap(({ document, outcome }) =>
    outcome instanceof Failure ? [] : [`policy/${document.name} ${outcome.result}`],
  )
  const [first] = failed
  if (first === undefined) throw new RangeError('no failure to sum up')
  const changed = dryRun || done.length === 0 ? (first.info.changed ?? 'nothing') : done.join(', ')
  const untried = total - applied.length
  if (failed.length === 1 && done.length === 0) {
    return first.with({
      changed,
      ...(untried > 0 ? { hint: `${untried} more were not tried` } : {}),
    })
  }
  return new Failure({
    code: done.length > 0 ? 'cli.partly' : first.info.code,
    exit: done.length > 0 ? 'partly' : first.info.exit,
    title: `${failed.length} of ${total} documents were refused${untried > 0 ? `, ${untried} not tried` : ''}`,
    errors: failed.flatMap((failure) => failure.info.errors ?? []),
    shown: failed.map((failure) => failureText(failure.info, (_colour, text) => text)).join('\n'),
    changed,
    next: ['rekey apply … again, once they are corrected: what was applied is left unchanged'],
    problem: {
      failures: failed.map(({ info }) => ({
        doing: info.doing,
        code: info.code,
        title: info.title,
        detail: info.detail,
        errors: info.errors,
        requestId: info.requestId,
      })),
    },
  })
}
