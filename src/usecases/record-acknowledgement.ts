// A consumer has said that it uses a version, over REST or in answer to its reload webhook: one row, one event.

import type { LedgerEvent, Tx } from '#domain/ports.ts'
import type { Acknowledgement, Rotation } from '#domain/rotation.ts'

export const recordAcknowledgement = async (
  tx: Tx,
  rotation: Rotation,
  said: Pick<Acknowledgement, 'consumer' | 'version' | 'evidence' | 'principalId'>,
): Promise<{ readonly row: Acknowledgement; readonly event: LedgerEvent }> => {
  const row: Acknowledgement = {
    ...said,
    keyId: rotation.keyId,
    rotationId: rotation.id,
    at: await tx.now(),
  }
  await tx.writeAcknowledgement.insert(row)
  const { consumer, version, evidence } = said
  return {
    row,
    event: {
      action: 'rotation.acknowledged',
      target: { id: rotation.id, name: rotation.keyName },
      outcome: 'succeeded',
      correlationId: rotation.id,
      after: { key: rotation.keyName, consumer, version, evidence },
    },
  }
}
