// What the page of an error code says: at `/problems/{code}`, in `docs/reference/errors.md` and in the examples of the
// OpenAPI document. A row a code of the catalogue (errors.ts), or it does not compile.

import type { ErrorCode, ErrorPlace } from './errors.ts'

export interface ErrorHelp {
  /** What happened and why, for somebody who has never met it. */
  readonly why: string
  /** What to do now. */
  readonly todo: string
  /** What a problem of this code may say. */
  readonly example: {
    readonly detail: string
    readonly hint?: string
    readonly errors?: readonly ErrorPlace[]
  }
}

export const errorHelp: Readonly<Record<ErrorCode, ErrorHelp>> = {
  'request.invalid': {
    why: 'A part of the request is not of the shape that the operation takes: a field that is missing, unknown or of another type, a query parameter that nobody knows, a header that cannot be read, a body that is no JSON or YAML. Nothing was done. Unknown fields are refused rather than ignored, since a typing error in a policy would otherwise switch a rule off without a word.',
    todo: 'Correct what `errors` points at: each entry has a JSON pointer into the body (or below `/query`, `/params`, `/headers`), and for YAML the line and column. `/docs` and `/schemas/{kind}.v1.json` say what is taken.',
    example: {
      detail: '/spec/soke: unknown field; did you mean soak?',
      errors: [
        { pointer: '/spec/soke', detail: 'unknown field; did you mean soak?', line: 14, column: 3 },
      ],
    },
  },
  'request.tooLarge': {
    why: 'The body is larger than this operation takes: 1 MB, plans 10 MB, deliveries of sources 5 MB. It was not read to its end.',
    todo: 'Send less at once: split a plan by owner, or a report by scan.',
    example: { detail: 'The body is larger than this route takes.' },
  },
  'request.headersTooLarge': {
    why: 'The path and the headers together are longer than 16 KB. They were not read to their end, so the request has no name in the log beyond its id.',
    todo: 'Send a shorter query: name fewer labels, or filter in several requests. A proxy that adds headers on the way may be the cause.',
    example: { detail: 'Request Header Fields Too Large' },
  },
  'request.timeout': {
    why: 'The request was not complete half a minute after it began. Nothing of it was done.',
    todo: 'Send it again. A body that is written slowly must be ready before the request begins.',
    example: { detail: 'Request Timeout' },
  },
  'request.mediaType': {
    why: 'The body is of a kind that this operation does not read, or it is compressed.',
    todo: 'Send `Content-Type: application/json`, or `application/yaml` where the operation says so, in UTF-8 and without `Content-Encoding`.',
    example: { detail: 'This route takes application/json only.' },
  },
  'request.notAcceptable': {
    why: '`Accept` allows nothing that this operation can send.',
    todo: 'Accept what the operation sends, which `hint` says, or leave the header out.',
    example: { detail: 'This sends text/event-stream only.', hint: 'Accept: text/event-stream' },
  },
  'request.method': {
    why: 'The path exists and does not take this method.',
    todo: 'Use one of those that `Allow` names.',
    example: { detail: 'This path takes DELETE, GET, HEAD, PUT.' },
  },
  'request.impossible': {
    why: 'The request can be read, and what it asks for cannot be: it names something that does not exist, or two of its parts contradict each other.',
    todo: 'Read `detail`, and `errors` for the place. Usually what is named must be made first.',
    example: {
      detail: 'There is no connection "vault".',
      errors: [{ pointer: '/connection', detail: 'does not exist' }],
    },
  },
  'request.rateLimited': {
    why: 'This principal sent more requests in a minute than it may: 600, unless `REKEY_RATE_LIMIT` says otherwise. Emergencies are counted apart, so a script that runs wild takes nothing from them.',
    todo: 'Wait as many seconds as `Retry-After` says. `RateLimit` on every reply says what is left; follow a rotation by its events instead of asking again and again.',
    example: { detail: 'More than 600 requests in a minute.', hint: 'Wait 12 seconds.' },
  },
  'cursor.foreign': {
    why: 'The cursor was given for another list, or for the same list with another filter. A page read with it would silently leave things out.',
    todo: 'Begin at the first page, without `cursor`, and keep the filter the same until the last one.',
    example: {
      detail: 'The cursor was not given for this list and filter.',
      hint: 'Start at the first page again, without cursor.',
      errors: [{ pointer: '/query/cursor', detail: 'of another list or filter' }],
    },
  },
  'auth.missing': {
    why: 'The request came without a token.',
    todo: 'Send `Authorization: Bearer rekey_…`. On the machine where Rekey runs the first one is in `<data>/admin-key`; an admin makes others with `POST /v1/api-keys`.',
    example: { detail: 'Send a token.', hint: 'Authorization: Bearer rekey_…' },
  },
  'auth.invalid': {
    why: 'The token is unknown, expired, deleted, or not allowed from this address. Which of these is not said, since whoever tries tokens would learn from it; the audit log has it.',
    todo: 'Check that it is complete: its last six characters are a checksum. `rekey whoami` says when it expires. An admin makes a new one.',
    example: {
      detail: 'The token is unknown, expired, deleted or not allowed from here.',
      hint: 'Check that it is complete. An admin makes a new one: POST /v1/api-keys.',
    },
  },
  'auth.issuerUnavailable': {
    why: 'The token is a JWT of an issuer that is believed here, and the keys that would verify it cannot be had: nobody can say whether it is valid. Keys that were had before are used for six hours.',
    todo: "Try again in half a minute. An admin looks at what `detail` says of the issuer: its address in `GET /v1/issuers`, `REKEY_EGRESS_ALLOW` for one in a private network, its `/.well-known/openid-configuration`. A token of Rekey's own works meanwhile.",
    example: {
      detail: "The keys of the token's issuer cannot be had: no answer within 5 s.",
    },
  },
  'login.refused': {
    why: 'The browser came back from the issuer with what does not belong to a login that it began: another state or nonce, an answer of another issuer, a code that the issuer does not take, a token that does not hold; or it took longer than ten minutes, or was sent twice. No session was made.',
    todo: 'Begin again at `GET /v1/login/{name}`, in the same browser, and let it keep cookies. Where it happens every time, compare the client and its redirect address at the issuer with `GET /v1/issuers`; `detail` says what was wrong.',
    example: { detail: 'It was not begun in this browser, or long ago.' },
  },
  'auth.denied': {
    why: 'The token is valid, and its roles or its scope do not allow this. The refusal is in the audit log.',
    todo: 'Ask somebody who has the role, or an admin for a token with it. `rekey whoami` shows what yours may do.',
    example: {
      detail: 'This needs the role operator or admin.',
      hint: 'An admin makes a token with it: POST /v1/api-keys.',
    },
  },
  'resource.notFound': {
    why: 'There is no such thing, or it lies outside the scope of the token: the two are not told apart, so that nobody learns names by asking.',
    todo: 'Check the spelling; list what you can see, such as with `rekey get keys`.',
    example: { detail: 'There is no key "orders-tokn".', hint: 'Did you mean orders-token?' },
  },
  'resource.exists': {
    why: 'The name is taken. Nothing was replaced.',
    todo: 'Choose another name, or replace what is there: read it, and PUT it back with its ETag in `If-Match`.',
    example: { detail: 'There is a key "orders-token" already.' },
  },
  'policy.overlap': {
    why: 'Two enabled policies of the same priority would select the same key. Which of them counts would be chance, so neither is taken.',
    todo: 'Give one of them another `priority`, or make the selectors exclude each other.',
    example: {
      detail: 'The key "orders-token" would be selected by "monthly" and "weekly".',
      hint: 'Give one of them another priority.',
    },
  },
  'policy.neverFires': {
    why: 'The cron expression is well-formed and names a moment that never comes, such as 30 February, or only moments that a blackout covers.',
    todo: 'Correct the schedule. `rekey schedule` shows what is to come.',
    example: {
      detail: '"0 3 30 2 *" never fires.',
      errors: [{ pointer: '/spec/schedule/cron', detail: 'never fires' }],
    },
  },
  'policy.gapNotAccepted': {
    why: 'The policy selects keys of a type with one slot: minting the new version overwrites the old one, and until consumers have the new one they have none. Rekey plans and measures that gap, and somebody has to have accepted it.',
    todo: 'Set `acceptGap: true` in the policy, or do not select those keys.',
    example: {
      detail: 'Keys of type vault.kv2 have a gap at each rotation.',
      hint: 'Set acceptGap: true.',
      errors: [{ pointer: '/spec/acceptGap', detail: 'must be true for vault.kv2' }],
    },
  },
  'policy.weakening': {
    why: 'The change takes a protection away from keys that the policy selects: fewer approvals, a shorter overlap or soak, another publish target. Whoever may edit a policy could otherwise approve alone what needed two.',
    todo: 'Make a plan of it and have it approved: `rekey apply -f` makes one and says its id, another person runs `rekey approve plan/ID`, then `rekey apply plan/ID` does it.',
    example: {
      detail: 'The change lowers approval.required from 1 to 0 for 3 keys.',
      hint: 'Make a plan of it: another person must approve it.',
    },
  },
  'policy.belowFloor': {
    why: 'An admin has set a floor for keys with certain labels: so many approvals, so long an overlap, nothing harsher at the end. The policy selects such keys, or the labels of the key bring it under the floor, and the policy says less.',
    todo: 'Raise the fields that `errors` names to the bound, or give the key to another policy. Floors are at `GET /v1/floors`; only an admin changes them.',
    example: {
      detail:
        'The policy "payments" is less strict than the floor for team=payments: overlap.min is 1h, the floor 24h.',
      errors: [
        {
          pointer: '/spec/overlap/min',
          detail: 'the floor for team=payments asks for 24h, this says 1h',
        },
      ],
    },
  },
  'policy.impossible': {
    why: 'The policy asks of a key type what it cannot do, such as `unusedFor` where the provider does not say when a version was last used.',
    todo: 'Read the types in `docs/reference/key-types.md` or `GET /v1/providers`, and ask for what they declare, or select other keys.',
    example: {
      detail: 'vault.kv2 does not say when a version was last used.',
      errors: [{ pointer: '/spec/overlap/unusedFor', detail: 'not known for vault.kv2' }],
    },
  },
  'plan.ownerConflict': {
    why: 'A document speaks of a resource that belongs to another owner (`status.owner`), that is to the files of somebody else. If both could write it, each of their pipelines would undo the other, and pruning would delete what the other one needs. Nothing was done.',
    todo: 'Decide whose it is, and take it out of the other files. To take it over, send `ownerChange` in `allow` (`--allow-owner-change`).',
    example: {
      detail:
        'policy/monthly: It belongs to the owner "payments", and this plan is of the owner "platform".',
      hint: 'Take it out of one of the two, or allow ownerChange to take it over.',
      errors: [
        {
          pointer: '/metadata/name',
          detail:
            'It belongs to the owner "payments", and this plan is of the owner "platform". (belongs to payments)',
          file: 'policies/monthly.yaml',
          line: 3,
          column: 19,
        },
      ],
    },
  },
  'plan.massRotation': {
    why: 'Applying the plan would make more than 10 keys, or more than 20 % of all, due at once: within an hour, or because they are past their maxAge. That is more often a slip than meant, and consumers may not keep up with it.',
    todo: 'Look at the effects of the plan. If it is meant, send `massRotation` in `allow` (`--allow-mass-rotation`). Otherwise a window, a longer maxAge, or fewer keys at first.',
    example: {
      detail: '14 of 60 keys become due at once.',
      hint: 'Send massRotation in allow if that is meant.',
    },
  },
  'plan.policyDeletion': {
    why: 'Pruning would delete a policy that applies to keys. They would then rotate by no policy, unless another one selects them. A file that was renamed or left out of a checkout looks the same.',
    todo: 'Put the document back, or send `policyDeletion` in `allow` (`--allow-policy-deletion`) if it is meant.',
    example: {
      detail: 'policy/monthly is deleted, and applies to 14 keys.',
      hint: 'Send policyDeletion in allow if that is meant.',
    },
  },
  'plan.stale': {
    why: 'A plan does exactly what it showed, or nothing. Something that it touches was changed since it was made, or the hash that was sent is that of another plan, or it was applied already. Nothing was done.',
    todo: 'Make the plan anew, look at what it does now, and apply that one.',
    example: {
      detail: 'What it touches was changed since the plan was made: policy/monthly.',
      hint: 'Make the plan anew and look at it.',
    },
  },
  'key.objectTaken': {
    why: 'Another key manages this object already. Two keys of one object would rotate it against each other.',
    todo: 'Use that key; give it more consumers or labels if that is what was missing.',
    example: { detail: 'The object is managed by the key "orders-db".' },
  },
  'key.ambiguousPrimary': {
    why: 'The object has several versions that could be the one in use, and Rekey does not guess which of them must not die.',
    todo: 'Say which with `adopt`: one of the `candidates` in the reply.',
    example: {
      detail: 'Two versions are enabled: 3 and 4.',
      hint: 'Name the one in use in adopt.',
    },
  },
  'key.busy': {
    why: 'The key has an open rotation or incident, or its object is still being made; or an incident that disables is executed while another one is switching the key on again. Without the key nobody would finish it, and an old version might live on; and nothing is rotated that does not work yet.',
    todo: 'Let it end, or end it: `rekey cancel`, `rollback` or `abandon`. A creation ends with a repeat of the request that began it, or with the deletion of the key.',
    example: {
      detail: 'The key has an open rotation.',
      hint: 'Cancel it, or wait until it has ended.',
    },
  },
  'key.noObject': {
    why: 'The provider has nothing at the place that `ref` names.',
    todo: 'Check the path or name with `rekey import -c CONNECTION`, or let Rekey make it with `create: true`.',
    example: { detail: 'There is no secret at orders/db.' },
  },
  'key.notDeliverable': {
    why: 'Values of this type are not handed out: they are used where they lie, or read at the provider itself.',
    todo: 'Read it at the provider, or use the operations of the type (`signatures`, `encryptions`, `decryptions`).',
    example: { detail: 'The value of a local.key is not delivered.' },
  },
  'key.observed': {
    why: 'The key says `observe: native`: its provider rotates it by itself, and Rekey watches. Two that rotate one key take each other for strangers.',
    todo: 'Rotate it at the provider; Rekey records the new version with its next look. To have Rekey rotate it, switch the rotation off there and put the key without `observe`.',
    example: {
      detail: 'the provider rotates this key by itself; Rekey only watches',
      hint: 'remove observe: native to let Rekey rotate it',
    },
  },
  'key.versionInUse': {
    why: 'The version is what readers get now: it is current at the provider, it is the primary of the key, or it holds the same value. Retiring it would cut them off.',
    todo: 'To keep it, delete the key and register it again: its present version is then version 1. To be rid of it, put the former value back at the provider first.',
    example: {
      detail: 'It is what readers get now.',
      hint: 'To keep it, delete the key and register it again: its present version is then version 1. Else put the former value back at the provider.',
    },
  },
  'key.versionUnusable': {
    why: 'The version is not active: it is not proven yet, switched off, or destroyed.',
    todo: 'Leave `version` out for the primary one. `GET /v1/keys/{name}/versions` shows the states.',
    example: { detail: 'Version 1 is deactivated.' },
  },
  'connection.inUse': {
    why: 'Keys, publish targets or other connections use this connection. Without it their rotations could neither go on nor be undone. While an incident executes on its keys it is not pointed elsewhere either: what was shown must be what is switched off.',
    todo: 'Delete or move what uses it first; `detail` names some. Of an incident: wait until it is at rest.',
    example: { detail: 'The connection is used by 3 keys, orders-db among them.' },
  },
  'connection.notGranted': {
    why: 'The connection does not let keys with these labels use this object. Grants keep one team from registering, or publishing over, the secrets of another. To publish, the policy of an admin needs one too: its selector must demand the labels of the grant.',
    todo: 'Ask an admin to add a grant to the connection: which labels, and which refs.',
    example: { detail: 'The connection "vault" grants orders/db to no key with these labels.' },
  },
  'connection.unusable': {
    why: 'The connection or address cannot be used: its settings are incomplete, its credential is missing or not allowed here, or the host lies where Rekey may not connect to.',
    todo: 'Read `detail`. `rekey doctor` and `POST /v1/connections/{name}/checks` say more.',
    example: { detail: 'The address is not a URL with a host.' },
  },
  'rotation.inProgress': {
    why: 'The key has an open rotation, and a key has one at a time.',
    todo: 'Follow that one: `rekey get rotation/ID --watch`. If it stalled, resume it or roll it back.',
    example: { detail: 'The key has an open rotation.', hint: 'Follow it, or cancel it first.' },
  },
  'rotation.wrongPhase': {
    why: 'This cannot be done in the phase in which the rotation is now. It may have moved on since it was read.',
    todo: 'Read the rotation again; `rekey describe rotation/ID` says what can be done next.',
    example: { detail: 'The rotation is completed; it can be cancelled only before minting.' },
  },
  'rotation.undoImpossible': {
    why: 'The provider cannot bring the old version back. The plan said so before the rotation began. Nothing was changed.',
    todo: 'Go forward: `resume` a stalled rotation, or `abandon` it and start another.',
    example: {
      detail: 'vault.transit cannot undo: the old version cannot be made the newest again.',
    },
  },
  'rotation.pastPointOfNoReturn': {
    why: 'The old version is being retired. What is destroyed cannot be brought back.',
    todo: 'If the new version is wrong, start another rotation.',
    example: { detail: 'The old version is already being retired.' },
  },
  'rotation.selfApproval': {
    why: 'Approvals and overrides are by other people than who asked, or said so before. Of a scheduled rotation that is the last author of its policy. Two tokens are one person where one made the other, or where somebody made both, but for the first admin key; who signs in is a person by issuer and subject, and the tokens that they made are theirs. `kinship` says which it is: `same`, `made` (your token made theirs), `madeBy` (theirs made yours), `siblings`.',
    todo: 'Ask another approver, whose token comes from another hand. Who is another person: docs/how-to/tokens-and-floors.md.',
    example: { detail: 'You requested this rotation.' },
  },
  'rotation.planChanged': {
    why: 'The hash is not that of the plan as it is now: what you saw is not what would be done.',
    todo: 'Read the rotation again, look at its plan, and approve that.',
    example: { detail: 'The plan has another hash than planHash.' },
  },
  'incident.empty': {
    why: 'Nothing that can be seen with this token fits all that `selector` says, or none of the pasted secrets is known here. Nothing was done. That a secret is not known does not mean that it is none: values that Rekey never held have no fingerprint.',
    todo: 'Ask for less: each field narrows the set. `rekey get keys -l team=payments` shows what labels choose; `rekey import -c CONNECTION` what a connection has and Rekey does not manage.',
    example: {
      detail: 'No key in your scope has the label team=payment.',
      hint: 'Did you mean team=payments?',
    },
  },
  'incident.tooLarge': {
    why: 'The selector means more than 20,000 keys. One execution of that size is more likely a mistake than an emergency, and nobody could have looked at it.',
    todo: 'Open one incident a connection, or a team: they are executed side by side.',
    example: { detail: 'It means more than 20,000 keys.' },
  },
  'incident.previewStale': {
    why: 'The hash is not that of what would be done now: a key came or went, a version was made or ended, a label, a policy or a connection was changed, or the hash is of another incident. Only what was shown is executed, so nothing was. Of an incident that was executed already: it is tried again, or restored, only where it was shown, and a connection points elsewhere by now; or it was previewed without the token to break glass with that asks.',
    todo: '`added`, `removed` and `changed` name keys that differ. Preview it again, look at that, and have it approved where it needs to be. Executed already: point the connection back (a new credential may stay), or open another incident for what is there now.',
    example: {
      detail: 'One key is in the set that was not: orders-token.',
      hint: 'rekey incident preview incident/ID',
    },
  },
  'incident.previewExpired': {
    why: 'A preview holds for an hour. What is older was looked at by somebody who may not know what happened since.',
    todo: 'Preview it again. Where nothing has changed its hash is the same, and approvals stay.',
    example: { detail: 'The preview is from 02:10; it held until 03:10.' },
  },
  'incident.confirmationWrong': {
    why: '`confirm` is the id of the incident, typed by whoever executes it: so that nobody executes the wrong one of two.',
    todo: 'Send the id that the path has.',
    example: {
      detail: 'confirm is not the id of this incident.',
      errors: [{ pointer: '/confirm', detail: 'must be the id of the incident' }],
    },
  },
  'incident.selfApproval': {
    why: 'An approval is by somebody else than who opened the incident or made its preview, and counts once for each person; a review is by somebody who did not execute it either. Two tokens are one person where one made the other, or where somebody made both, but for the first admin key; who signs in is a person by issuer and subject, and the tokens that they made are theirs. `kinship` says which it is: `same`, `made` (your token made theirs), `madeBy` (theirs made yours), `siblings`. A token to break glass with approves nothing.',
    todo: 'Ask another approver or responder, whose token comes from another hand: `rekey incident approve incident/ID`.',
    example: { detail: 'You opened this incident.' },
  },
  'incident.approvalMissing': {
    why: 'The policies and floors of its keys ask for approvals of this very preview, and some are missing. An approval by somebody who has lost the role since, whose token was deleted or has expired, or to whom the rules of their issuer give it no more, does not count; two of one person count once.',
    todo: '`rekey incident approve incident/ID`, by somebody who neither opened nor previewed it. When nobody is awake: a token to break glass with, which needs none and leaves a review.',
    example: { detail: '0 of 1 approvals are given.' },
  },
  'incident.wrongState': {
    why: 'It is executed once, closed once, and approved between preview and execution. What was asked does not fit where it is. A restoration: nothing of it is left to be restored, a key that was named is not in it or not switched off yet, or another incident that is not closed has contained a key of it too: `key` and `incident` name that one, where you may see it.',
    todo: 'Look where it stands: `rekey describe incident/ID`. A restoration that another incident holds up: restore or close that one first, or name the keys that only this one has: `rekey incident restore incident/ID --key NAME`.',
    example: { detail: 'An incident that is closed is not previewed.' },
  },
  'incident.wrongMode': {
    why: 'Only what the mode `disable` switched off comes back. The other modes mark versions as compromised, which is for ever: whoever has the value has it still.',
    todo: 'Rotate the key, or wait for the replacement that the mode makes.',
    example: { detail: 'The mode revokeFirst restores nothing.' },
  },
  'incident.reviewMissing': {
    why: 'It was executed with a token to break glass with, so nobody agreed before. Somebody else looks at it afterwards, and signs, before others try again what failed of it, and before it is closed.',
    todo: 'Another person reads the report and posts a review: `rekey incident review incident/ID --text "…"`.',
    example: { detail: 'It was executed by breaking glass, and nobody has reviewed it.' },
  },
  'playbook.selfApproval': {
    why: 'A review is by somebody else than who wrote the present revision: an author reads what was meant, not what stands there. Two tokens from one hand are one person, as with approvals (`kinship` says how that is known).',
    todo: 'Another person reads it (`rekey describe playbook/NAME`) and signs: `rekey review playbook/NAME --text "…"`.',
    example: { detail: 'You wrote this revision.' },
  },
  'freeze.active': {
    why: 'Somebody froze these keys: nothing that writes at a provider begins until it is over. Undo always may.',
    todo: 'Wait, or thaw: `rekey freeze clear`. `GET /v1/freeze` says who froze them and why.',
    example: { detail: 'All keys are frozen until 4 January: change freeze.' },
  },
  'recovery.active': {
    why: 'The database was restored, moved to another server, or lost transactions, so that what it says of providers may be out of date. Until an admin has looked, nothing is written to any provider: no rotation starts, goes on or is undone, and keys that are not what they were are not handed out.',
    todo: '`rekey doctor` shows why, and what became of each key. When that is right, an admin runs `rekey doctor --accept-restore`. See docs/how-to/backup-and-restore.md.',
    example: {
      detail:
        'In recovery mode since 2026-11-25T06:00:00.000Z: the log of this database ends at 2026-11-24T22:00:00.000Z, and this process has seen events, until 2026-11-25T05:59:58.120Z, that are not in it. Nothing is written to any provider.',
      hint: 'Look with: rekey doctor. When what it shows is right: rekey doctor --accept-restore --reason "…"',
    },
  },
  'recovery.notActive': {
    why: 'There is nothing to accept: Rekey is not in recovery mode, or somebody else has accepted the restore meanwhile.',
    todo: 'Nothing. `GET /v1/recovery` says so too.',
    example: { detail: 'There is no restore to accept.' },
  },
  'recovery.pending': {
    why: 'What became of some keys is not known yet: a worker has not asked their providers, or could not reach them; or taking over took longer than a request may last.',
    todo: 'See that a worker runs, and mend the connections that `GET /v1/recovery/keys?state=unreachable` names; or go on without them with `unreachable: true`. Then ask again.',
    example: {
      detail: 'The providers of 2 keys could not be asked, among them orders-token, orders-data.',
      hint: 'Mend their connections, or go on without them: unreachable: true.',
    },
  },
  'idempotency.missing': {
    why: 'This operation has effects at a provider, and a request that is repeated because its reply was lost must not have them twice.',
    todo: 'Send `Idempotency-Key` with a new random value for each new request, and the same value when you repeat it.',
    example: {
      detail: 'This needs an Idempotency-Key, so that a repeated request cannot do it twice.',
      hint: 'Send a new random value for each new request, and the same one when you repeat it.',
    },
  },
  'idempotency.mismatch': {
    why: 'The key was sent before, with another body or query.',
    todo: 'Make a new key for a new request.',
    example: {
      detail: 'This Idempotency-Key was sent before with another body or query.',
      hint: 'Use a new key for a new request.',
    },
  },
  'idempotency.running': {
    why: 'The first request with this key has not ended yet.',
    todo: 'Ask again in a few seconds, with the same key.',
    example: {
      detail: 'The first request with this Idempotency-Key has not ended yet.',
      hint: 'Ask again in a few seconds.',
    },
  },
  'idempotency.secretNotReplayable': {
    why: 'The first request succeeded, and its reply held a token or value, which Rekey does not keep.',
    todo: 'If the reply was lost, delete what it made and make it again with a new key.',
    example: {
      detail: 'The first request succeeded, and its reply held a secret, which is shown once.',
      hint: 'If the reply was lost, delete what it made and make it again with a new key.',
    },
  },
  'idempotency.replyLost': {
    why: 'The first request had its effect, and Rekey stopped before its reply was kept.',
    todo: 'Read the resource to see what it became. It was not done twice.',
    example: {
      detail: 'The first request had its effect, and its reply was lost when Rekey stopped.',
      hint: 'Read the resource to see what it became. It was not done twice.',
    },
  },
  'precondition.required': {
    why: 'The resource exists, and the request does not say which revision of it was seen: it might undo what somebody else just wrote.',
    todo: 'Read it, change what you read, and send it back with its `ETag` as `If-Match`.',
    example: {
      detail: 'The resource exists: say which revision you have seen',
      hint: 'Read it, then send its ETag as If-Match.',
    },
  },
  'precondition.failed': {
    why: 'Somebody changed the resource since it was read, or it exists although `If-None-Match: *` says that it must not.',
    todo: 'Read it again, and decide again.',
    example: { detail: 'The resource has another revision than If-Match says' },
  },
  'provider.unauthorized': {
    why: 'The provider refused the credential of the connection: it expired, was revoked, or lacks a right.',
    todo: '`POST /v1/connections/{name}/checks` says which right is missing. `GET /v1/providers` has the least-privilege document.',
    example: { detail: 'Vault refused the token: permission denied.' },
  },
  'provider.rejected': {
    why: 'The provider understood the request and refused it, for good. It is not sent again.',
    todo: "Read `detail`: it has the provider's reason. Quotas and names are the usual ones.",
    example: { detail: 'Vault refused: the mount is of another kind.' },
  },
  'provider.unavailable': {
    why: 'The provider did not answer, or answered that it cannot now.',
    todo: 'Try again later. Rotations that are under way wait by themselves.',
    example: { detail: 'Vault cannot be reached.' },
  },
  'audit.unavailable': {
    why: 'What is done must be recorded, and the audit log cannot be written. So nothing was done.',
    todo: 'Try again. If it lasts, look at the database and at `rekey doctor`.',
    example: { detail: 'The audit log cannot be written.' },
  },
  'service.unavailable': {
    why: 'Rekey is starting, stopping, overloaded, or cannot reach its database.',
    todo: 'Try again after `Retry-After`. `/readyz` says what is missing.',
    example: { detail: 'Rekey is overloaded.', hint: 'Try again in a few seconds.' },
  },
  internal: {
    why: 'Rekey failed at something that it should have foreseen. What became of the request is not known; writes are whole or not at all.',
    todo: 'Look for `requestId` in the log, read the resource before you repeat the request, and report it.',
    example: { detail: 'Rekey failed. The log has more under this request id.' },
  },
}
