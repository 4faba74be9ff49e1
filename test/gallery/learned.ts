import type { Face } from '../../src/face/pipeline.ts'
import { createLearner, type Learnable, type Learner } from '../../src/gallery/learn.ts'
import { serverAuthor } from '../../src/ledger/ledger.ts'
import { createLogger } from '../../src/shared/log.ts'
import type { TestApp } from '../support/app.ts'

/** What learning and the drift guard stand on, of a test's application. */
export const learningDeps = ({ db, ledger, vault, photos, gallery, engine, clock }: TestApp) => ({
  db,
  change: ledger.by(serverAuthor),
  vault,
  photos,
  gallery,
  engine,
  clock,
  log: createLogger({ level: 'silent' }),
})

/** The one face of a picture. */
export async function faceIn({ engine }: TestApp, picture: Uint8Array): Promise<Face> {
  const analysis = await engine.analyse(picture)
  if (analysis.kind !== 'face') throw new Error(`the test's own picture shows ${analysis.kind}`)
  return analysis.face
}

/** A punch of a bona fide face at the kiosk GATE, made now; returns its number. */
export async function bonaFidePunch(
  { ledger, clock }: TestApp,
  employee_id: string,
  changes: { liveness?: Learnable['liveness']; candidates?: string[] } = {},
): Promise<number> {
  const { liveness = 'bona_fide', candidates = [employee_id] } = changes
  const record = { candidates: candidates.map((id) => ({ employee_id: id })) }
  return ledger.punches(async (trx) => {
    const decision = {
      device_id: 'GATE',
      kind: 'face',
      outcome: 'identified',
      employee_id,
      pack: 'test',
    } as const
    const { id: decision_id } = await trx
      .insertInto('decisions')
      .values({ ...decision, created_at: clock.now(), record: JSON.stringify(record) })
      .returning('id')
      .executeTakeFirstOrThrow()
    const punch = { employee_id, device_id: 'GATE', attendance_type: 'IN', confidence_score: 0.9 } as const
    const { id } = await trx
      .insertInto('attendance')
      .values({ ...punch, timestamp: clock.now(), liveness, decision_id })
      .returning('id')
      .executeTakeFirstOrThrow()
    return id
  })
}

/** A check of this person that nothing speaks against learning from, with its punch. */
export async function goodCheck(
  running: TestApp,
  employeeId: string,
  picture: Uint8Array,
): Promise<Learnable> {
  const punchId = await bonaFidePunch(running, employeeId)
  const face = await faceIn(running, picture)
  return { punchId, employeeId, outcome: 'identified', liveness: 'bona_fide', face, picture }
}

/** Learns from checks, and resolves when it has. */
export async function learnFrom(running: TestApp, ...checks: Learnable[]): Promise<void> {
  const learner: Learner = createLearner(learningDeps(running))
  for (const check of checks) learner.offer(check)
  await learner.settled()
  await learner.close()
}
