// The sample that the design promises, word for word: every field of a policy, with its default.

export const samplePolicy = `apiVersion: rekey.dev/v1
kind: RotationPolicy
metadata: { name: payments-api-keys, labels: { team: payments }, annotations: { runbook: docs/runbooks/iam.md } }
spec:
  description: Payments access keys, monthly, never in quarter close
  enabled: true                       # default
  priority: 0                         # default; overlap of two policies on one key is refused unless this differs
  selector:                           # required, not empty
    connection: aws-prod
    type: aws.iam.accessKey
    matchLabels: { app: payments }
    matchExpressions: [{ key: env, operator: In, values: [prod, staging] }]
  schedule:                           # at least one of: schedule, maxAge, manual: true
    cron: "0 3 1 * *"                 # 5 fields, names, L; day-of-month and day-of-week as in classic cron
    timezone: Europe/Paris            # IANA; required with cron
    jitter: 20m                       # default 0s
    window: 2h                        # default none: at the time or by catch-up
    missed: runInNextWindow           # default; or skip
  maxAge: 40d                         # never older than
  rotateOnEnable: false               # default
  blackouts:
    - { name: quarter-close, cron: "0 0 25 3,6,9,12 *", duration: 10d, timezone: Europe/Paris }
    - { name: year-end, from: "2026-12-18T00:00:00Z", to: "2027-01-04T00:00:00Z" }
  pause: { until: "2026-12-01T00:00:00Z", reason: audit in progress }   # an end is required; a paused policy is an alert
  generate: { length: 40, alphabet: urlSafe }          # per type
  publish:
    - { name: orders-db, connection: aws-prod, type: aws.secretsmanager.secret, ref: { secretId: orders/db } }
  verify: [{ type: roundTrip }, { type: webhook, url: "https://orders.example.com/selftest" }]   # default: the type's own
  consumers:
    matchLabels: { uses: payments-keys }               # required = these ∪ those named on the key
    acknowledgement: { required: all, timeout: 24h, onTimeout: hold }   # default: none asked; all or any; hold or rollback; alert at half, at the end, then weekly
  overlap: { min: 24h, unusedFor: 12h }                # default 24h, 0s
  soak: 1h                                             # default
  retire: disable                                      # default; keep, disable or destroy
  acceptGap: false                                     # default
  approval: { required: 0, roles: [approver] }         # default 0
  retry: { attempts: 5, initial: 30s, max: 15m }       # default
  concurrency: { max: 5, groupBy: app, minimumSpacing: 24h }   # default 5, all keys of the policy, 0s; max open rotations a group; 1 = never together
  emergency: { mode: revokeFirst, approvals: 1, ignoreBlackouts: true, onLeak: ask }   # defaults but for mode, which onLeak: automatic requires
  notify: [{ sink: oncall, events: [stalled, overdue, ackMissing] }]   # also failed: ended rolledBack, or cancelled by preflight
`
