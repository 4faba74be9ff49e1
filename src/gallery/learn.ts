import { createHash } from 'node:crypto'
import { type SqlBool, sql } from 'kysely'
import type { Database, DatabaseTransaction } from '../database/tables.ts'
import { toStoredJpeg } from '../face/decode.ts'
import type { Face } from '../face/pipeline.ts'
import { MIN_QUALITY_SCORE } from '../face/quality.ts'
import { AppError } from '../shared/errors.ts'
import { holdPack } from './active-pack.ts'
import {
  DAY_MS,
  LEARNED_SLOTS,
  type Learning,
  type LearningEvidence,
  learnedVector,
  mayLearn,
  QUARANTINE_DAYS,
} from './adapt.ts'
import { requireConsent } from './consent.ts'
import { byPhotos, type DriftDeps, guardTemplates } from './drift.ts'
import { voteOf } from './gallery.ts'
import { MARGIN } from './look-alikes.ts'
import { keyOf, opening } from './person-key.ts'
import {
  ADMIN_SLOT,
  deleteTemplates,
  deleteUnusedPhotos,
  findPerson,
  fingerprint,
  insertLearnedTemplate,
  insertSample,
  listSamples,
  listTemplates,
  openTemplate,
  peopleWithLearned,
} from './templates.ts'

/** A check that led to a punch, as far as a template may be learned from it. */
export interface Learnable {
  punchId: number
  employeeId: string
  outcome: string
  liveness: LearningEvidence['liveness']
  /** The best of the faces that were compared, and the picture that it is in, as it was sent. */
  face: Face
  picture: Uint8Array
}

/** Learns templates from checks, one after the other, beside them: it neither holds nor fails any. */
export interface Learner {
  /** To be called after the punch is committed. What must not be learned from is dropped, with a line in the log. */
  offer(check: Learnable): void
  /** Resolves when nothing more is being learned. */
  settled(): Promise<void>
  /** Drops what waits and resolves when nothing more is being learned. */
  close(): Promise<void>
}

/** Each holds a picture in memory. Whoever is not learned from today is tomorrow. */
const MAX_WAITING = 8

export function createLearner(deps: DriftDeps): Learner {
  const { log } = deps
  let work: Promise<void> = Promise.resolve()
  let waiting = 0
  let closing = false

  async function learnLater(check: Learnable): Promise<void> {
    if (closing) return
    const punch = check.punchId
    try {
      const learning = await learn(deps, check)
      if (learning.learn) log.info({ punch, slot: learning.slot }, 'a template was learned')
      else log.debug({ punch, why: learning.why }, 'nothing was learned')
    } catch (error) {
      log.error({ err: error, punch }, 'no template could be learned')
    }
  }

  return {
    offer(check) {
      // Most end here, before anything is kept for later.
      if (check.liveness !== 'bona_fide' || check.face.quality.score < MIN_QUALITY_SCORE) return
      if (closing || waiting >= MAX_WAITING) return
      waiting++
      work = work.then(() => learnLater(check)).finally(() => waiting--)
    },
    async settled() {
      for (let last: Promise<void> | undefined; last !== work; ) {
        last = work
        await last
      }
    },
    async close() {
      closing = true
      await work
    },
  }
}

/**
 * Learns a template from a check, or says why not. Everything is asked again in the transaction that writes it, with the
 * person locked. Rejects when the database or the photo store fails; nothing is stored then.
 */
async function learn(deps: DriftDeps, check: Learnable): Promise<Learning> {
  const { db, vault, photos, gallery, change, clock } = deps
  const { employeeId, punchId, face } = check
  const { pack } = face
  // Most end here: they cost the database one question.
  const first = compare(deps, check)
  const hopeful = { ...nothingKnown, lastLearnedAt: await lastLearned(db, employeeId), now: clock.now() }
  const early = mayLearn({ ...first.evidence, ...hopeful }, first.rules)
  if (!early.learn) return early

  const parent = await findParent(db, employeeId, pack)
  // Only then are the templates in memory those of the parent that was read, or newer.
  await gallery.refresh(employeeId)
  const { evidence, rules } = compare(deps, check)
  const jpeg = await toStoredJpeg(check.picture)

  let saved: string | undefined
  let isWritten = false
  let replaced: string[] = []
  let learning: Learning
  try {
    learning = await change(async (trx): Promise<Learning> => {
      await holdPack(trx, pack)
      const person = await findPerson(trx, employeeId, true)
      if (!person?.is_active) return no('the person is no longer active')
      const current = await findParent(trx, employeeId, pack)
      if (!parent || !current?.embedding_vector.equals(parent.embedding_vector))
        return no("the administrator's template was changed")
      const stopped = await obstacle(trx, check, pack)
      if (stopped) return stopped
      const now = clock.now()
      const known = await knownOf(trx, employeeId, pack)
      const learning = mayLearn({ ...evidence, ...known, now }, rules)
      if (!learning.learn) return learning
      const key = await keyOf(vault, person)
      const sha256 = createHash('sha256').update(check.picture).digest('hex')
      // An upload of the same picture must not be taken for this one: it is worth more.
      const print = fingerprint(key, `learned ${sha256}`)
      const samples = await listSamples(trx, employeeId)
      if (samples.some((sample) => [print, fingerprint(key, sha256)].includes(sample.sha256)))
        return no('this very picture is stored already')

      await deleteTemplates(trx, employeeId, { pack, slot: learning.slot })
      replaced = await deleteUnusedPhotos(trx, employeeId)
      saved = await photos.save(jpeg.bytes, key)
      const stored = {
        employeeId,
        pack,
        vector: face.vector,
        quality: face.quality.score,
        filePath: saved,
        now,
      }
      const filename = `check-${punchId}.jpg`
      const sampleId = await insertSample(trx, key, {
        ...stored,
        filename,
        sizeBytes: jpeg.bytes.length,
        widthPx: jpeg.width,
        heightPx: jpeg.height,
        sha256: print,
        createdFrom: 'ATTENDANCE',
        isAvatar: false,
      })
      const parentVector = opening(employeeId, () =>
        openTemplate(key, current.embedding_vector, { employeeId, slot: ADMIN_SLOT, pack }),
      )
      const templateId = await insertLearnedTemplate(trx, key, {
        ...stored,
        vector: learnedVector(deps.engine.pack.embedders, parentVector, face.vector),
        filename,
        slot: learning.slot,
        confidence: evidence.admin!.confidence,
        parentId: current.id,
        punchId,
        sampleId,
        activeFrom: new Date(now.getTime() + QUARANTINE_DAYS * DAY_MS),
      })
      // Whoever else would fill it waits for the person, so that this is never seen.
      if (templateId === undefined) throw new Error(`the slot ${learning.slot} was filled meanwhile`)
      isWritten = true
      return learning
    })
  } catch (error) {
    // What did not get so far is rolled back. After a lost commit nobody knows: then the sweep decides.
    if (saved && !isWritten) await photos.remove([saved])
    throw error
  }
  if (!learning.learn) return learning
  // Of a template that was replaced.
  await gallery.refresh(employeeId)
  await photos.remove(replaced)
  await guardTemplates(deps, [employeeId])
  return learning
}

/** As long as nobody has asked the database. */
const nothingKnown = { isDisputed: false, hasLookAlike: false, learned: [] }

/** The administrator's template as it is stored: two that are sealed alike are the same one. */
async function findParent(db: Database | DatabaseTransaction, employeeId: string, pack: string) {
  const row = await db
    .selectFrom('face_templates')
    .select(['id', 'embedding_vector'])
    .where('employee_id', '=', employeeId)
    .where('image_id', '=', ADMIN_SLOT)
    .where('pack', '=', pack)
    .executeTakeFirst()
  return row && { id: row.id, embedding_vector: Buffer.from(row.embedding_vector) }
}

/** What the gallery says of the face alone, whatever the other pictures of its check said. */
function compare({ gallery }: DriftDeps, { employeeId, outcome, liveness, face }: Learnable) {
  const vote = voteOf(face)
  const { candidates, learning } = gallery.identify([vote], 2)
  return {
    evidence: {
      outcome,
      liveness,
      quality: face.quality.score,
      admin: byPhotos(gallery, vote, employeeId),
      second: candidates.find((other) => other.employeeId !== employeeId),
    },
    rules: { learning, margin: MARGIN },
  }
}

/** What stands against learning from this check, whatever the face looks like. */
async function obstacle(
  trx: Database | DatabaseTransaction,
  { employeeId, punchId, face }: Learnable,
  pack: string,
): Promise<Learning | undefined> {
  const punch = await trx
    .selectFrom('attendance')
    .innerJoin('decisions', 'decisions.id', 'attendance.decision_id')
    .leftJoin('attendance as later', 'later.corrects', 'attendance.id')
    .select(['attendance.liveness', 'decisions.kind', 'later.id as superseded_by'])
    .where('attendance.id', '=', punchId)
    .where('attendance.employee_id', '=', employeeId)
    .executeTakeFirst()
  if (punch?.kind !== 'face' || punch.liveness !== 'bona_fide')
    return no('there is no punch of a bona fide face of the person')
  if (punch.superseded_by !== null) return no('the punch was corrected')
  if (face.pack !== pack) return no('the face was seen by the networks of another pack')
  const lastSwitch = await trx
    .selectFrom('model_switches')
    .select(['state', 'to_pack'])
    .where('state', 'in', ['embedding', 'ready', 'switched'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  // What is learned while photos are embedded anew would be left out of that.
  if (lastSwitch && (lastSwitch.state !== 'switched' || lastSwitch.to_pack !== pack))
    return no('the model pack is being changed')
  return consentMissing(trx, employeeId)
}

async function consentMissing(
  trx: Database | DatabaseTransaction,
  employeeId: string,
): Promise<Learning | undefined> {
  try {
    await requireConsent(trx, employeeId)
    return undefined
  } catch (error) {
    if (error instanceof AppError) return no('there is no consent of the person')
    throw error
  }
}

/** What is on record about the person that bears on learning. */
async function knownOf(trx: Database | DatabaseTransaction, employeeId: string, pack: string) {
  const templates = await listTemplates(trx, employeeId)
  const dispute = await trx
    .selectFrom('disputes')
    .innerJoin('attendance', 'attendance.id', 'disputes.punch_id')
    .select('punch_id')
    .where('employee_id', '=', employeeId)
    .where('state', '=', 'open')
    .executeTakeFirst()
  const lookAlike = await trx
    .selectFrom('look_alikes')
    .select('id')
    .where(sql<SqlBool>`${employeeId} IN (employee_a, employee_b)`)
    .where(sql<SqlBool>`coalesce(pack, ${pack}) = ${pack}`)
    .executeTakeFirst()
  return {
    isDisputed: dispute !== undefined,
    hasLookAlike: lookAlike !== undefined,
    lastLearnedAt: await lastLearned(trx, employeeId),
    learned: templates
      .filter((one) => one.pack === pack && (LEARNED_SLOTS as readonly number[]).includes(one.image_id))
      .map(({ image_id, created_at }) => ({ slot: image_id, learnedAt: created_at })),
  }
}

/** By the audit log, which knows of those too that were removed: a removal must not buy another try. */
async function lastLearned(
  trx: Database | DatabaseTransaction,
  employeeId: string,
): Promise<Date | undefined> {
  const row = await trx
    .selectFrom('audit_log')
    .select('at')
    .where('subject_kind', '=', 'face_templates')
    .where('subject', '=', employeeId)
    .where('action', '=', 'insert')
    .where(sql<SqlBool>`details -> 'after' ->> 'created_from' = 'ATTENDANCE'`)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.at
}

/**
 * Lets the gallery of this process search the learned templates whose quarantine ended after a time, once the drift guard
 * has looked at them. Resolves to how many people it was about.
 */
export async function releaseQuarantine(deps: DriftDeps, after: Date): Promise<number> {
  const { db, gallery, engine, clock } = deps
  const people = await peopleWithLearned(db, engine.pack.name, { after, upTo: clock.now() })
  await guardTemplates(deps, people)
  for (const employeeId of people) await gallery.refresh(employeeId)
  return people.length
}

const no = (why: string): Learning => ({ learn: false, why })
